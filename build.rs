//! Compiles the .proto of the fleet quota, in Rust alone: protox reads it, prost and tonic write the code.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    #[cfg(feature = "quota")]
    quota()?;
    Ok(())
}

#[cfg(feature = "quota")]
fn quota() -> Result<(), Box<dyn Error>> {
    const PROTO: &str = "sluicegate/quota/v1/quota.proto";
    let out = std::path::PathBuf::from(
        std::env::var_os("OUT_DIR").ok_or("cargo names no folder for what is built")?,
    );
    let mut compiler = protox::Compiler::new(["proto"])?;
    // Reflection shows the comments too.
    compiler.include_source_info(true).include_imports(true).open_file(PROTO)?;
    std::fs::write(out.join("quota.binpb"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
