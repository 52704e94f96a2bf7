//! Secrets of clients as a store has them: by what nobody finds them out.

use crate::tls;

/// The SHA-256 of `secret` in hexadecimal: whoever reads the store does not have the secret.
///
/// # Panics
/// If the cryptography of TLS has no SHA-256: it always has.
pub(crate) fn hashed(secret: &str) -> String {
    let digest = tls::sha256(secret.as_bytes()).expect("TLS 1.3 has SHA-256");
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_its_digest() {
        // FIPS 180-4, appendix B.1.
        assert_eq!(hashed("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
