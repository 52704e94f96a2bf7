//! An authority of one's own, and certificates that it signed: of a server on 127.0.0.1 and of a client.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The files, in a folder that goes with this.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// Makes an authority and signs a server's and a client's certificate.
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write("ca.pem", params.self_signed(&authority_key).unwrap().pem());
        let issuer = Issuer::new(params, authority_key);
        for (name, host) in [("server", "127.0.0.1"), ("client", "client.test")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            write(&format!("{name}.pem"), params.signed_by(&key, &issuer).unwrap().pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self(folder)
    }

    /// The path of one of the files: `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}
