//! The messages and the service in `proto/generated` are what the .proto comes to.
//!
//! In the repository they save whoever builds the program the compilers of the .proto. After a change of the .proto:
//! `SLUICEGATE_GENERATE=1 cargo test --test quota generated`.

use std::fs;
use std::path::Path;

/// The code, and the compiled .proto with its imports.
fn generated() -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut compiler = protox::Compiler::new(["proto"]).unwrap();
    // Reflection shows the comments too.
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file("sluicegate/quota/v1/quota.proto").unwrap();
    let descriptors = compiler.encode_file_descriptor_set();
    let builder = tonic_prost_build::configure().build_transport(false).bytes(".").out_dir(folder.path());
    builder.compile_fds(compiler.file_descriptor_set()).unwrap();
    (fs::read_to_string(folder.path().join("sluicegate.quota.v1.rs")).unwrap(), descriptors)
}

#[test]
fn the_generated_code_in_the_repository_is_that_of_the_proto() {
    let (code, descriptors) = generated();
    let [code_file, descriptors_file] =
        ["sluicegate.quota.v1.rs", "quota.binpb"].map(|name| Path::new("proto/generated").join(name));
    if std::env::var_os("SLUICEGATE_GENERATE").is_some() {
        fs::write(&code_file, &code).unwrap();
        fs::write(&descriptors_file, &descriptors).unwrap();
    }
    let again = "run `SLUICEGATE_GENERATE=1 cargo test --test quota generated` and commit proto/generated";
    assert!(
        fs::read_to_string(&code_file).unwrap() == code,
        "{} is not current: {again}",
        code_file.display()
    );
    assert!(fs::read(&descriptors_file).unwrap() == descriptors, "the descriptors are not current: {again}");
}
