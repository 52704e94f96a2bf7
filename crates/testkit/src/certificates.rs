//! An authority of one's own, and certificates that it signed: of a server on 127.0.0.1, of a client, and others.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The files, in a folder that goes with this.
pub struct Certificates {
    folder: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// Makes an authority and signs a server's and a client's certificate.
    pub fn make() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        // OpenSSL takes a certificate whose subject is its issuer's for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        let made = Self { folder: tempfile::tempdir().unwrap(), authority: Issuer::new(params, key) };
        made.write("ca.pem", &certificate);
        made.issue("server", &["127.0.0.1"]);
        made.issue("client", &["client.test"]);
        made
    }

    /// Signs a certificate for `hosts`, and writes or replaces `NAME.pem` and `NAME.key`.
    pub fn issue(&self, name: &str, hosts: &[&str]) {
        self.issue_until(name, hosts, 4096);
    }

    /// The same for a certificate that ends with the beginning of `year`.
    pub fn issue_until(&self, name: &str, hosts: &[&str], year: i32) {
        self.issue_with(name, hosts, |params| params.not_after = rcgen::date_time_ymd(year, 1, 1));
    }

    /// The same for a certificate that ends so many seconds after the beginning of 1970.
    pub fn issue_ending(&self, name: &str, hosts: &[&str], ends: u64) {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        self.issue_with(name, hosts, |params| params.not_after = epoch + Duration::from_secs(ends));
    }

    /// The same for a certificate whose fields `change` sets.
    pub fn issue_with(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        // The key first: who looks in between keeps what was there before.
        self.write(&format!("{name}.key"), &key.serialize_pem());
        self.write(&format!("{name}.pem"), &params.signed_by(&key, &self.authority).unwrap().pem());
    }

    /// Writes or replaces a file that only its owner can read.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).unwrap();
        self.set_mode(name, 0o600);
    }

    /// Sets the permission bits of a file.
    pub fn set_mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.at(name), Permissions::from_mode(mode)).unwrap();
    }

    /// The path of one of the files: `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`, or one issued.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text.
    pub fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }
}
