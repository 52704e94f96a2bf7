//! What a client's certificate identifies it by.

use std::sync::Arc;

/// Digests of a client's certificate, by which clients are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The SHA-256 of its DER, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: Arc<[u8; 32]>,
    /// The SHA-256 of its name: the last common name of its subject, or else the first DNS name (in lower case), URI or
    /// mail address among its alternative names. A certificate without a name has its fingerprint here.
    pub name: Arc<[u8; 32]>,
    /// Whether that name is a DNS name, which is the same in any case.
    pub is_dns: bool,
}

impl ClientCertificate {
    /// The [`name`](Self::name) of certificates that have this name; `None` in a build without TLS.
    pub(crate) fn digest_of_name(name: &str) -> Option<[u8; 32]> {
        #[cfg(feature = "tls")]
        return sha256(name.as_bytes());
        #[cfg(not(feature = "tls"))]
        return Some(name).and(None);
    }
}

#[cfg(feature = "tls")]
impl ClientCertificate {
    /// Reads a certificate in DER that was verified.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let fingerprint = Arc::new(sha256(der)?);
        let (name, is_dns) = name_of(der).unzip();
        let name = name.and_then(|name| sha256(&name)).map_or_else(|| Arc::clone(&fingerprint), Arc::new);
        Some(Self { name, fingerprint, is_dns: is_dns.unwrap_or_default() })
    }
}

/// The SHA-256 of `bytes`, by the cryptography that TLS is done with.
#[cfg(feature = "tls")]
pub(crate) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    use futures_rustls::rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = TLS13_AES_128_GCM_SHA256.tls13()?;
    suite.common.hash_provider.hash(bytes).as_ref().try_into().ok()
}

/// The name in a certificate, and whether it is a DNS name.
#[cfg(feature = "tls")]
fn name_of(der: &[u8]) -> Option<(Vec<u8>, bool)> {
    use x509_cert::certificate::{CertificateInner, Raw};
    use x509_cert::der::Decode;
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::GeneralName;
    use x509_cert::spki::ObjectIdentifier;

    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    let parsed = CertificateInner::<Raw>::from_der(der).ok()?;
    let parsed = parsed.tbs_certificate();
    // From the most general to the most specific (RFC 4514 §2.1 reverses them).
    let common = parsed.subject().iter().filter(|part| part.oid == COMMON_NAME).last();
    if let Some(name) = common.map(|part| text_of(&part.value)).filter(|name| !name.is_empty()) {
        return Some((name, false));
    }
    let (_, names) = parsed.get_extension::<SubjectAltName>().ok()??;
    names.0.iter().find_map(|name| match name {
        GeneralName::DnsName(name) => Some((name.as_str().to_ascii_lowercase().into_bytes(), true)),
        GeneralName::UniformResourceIdentifier(name) | GeneralName::Rfc822Name(name) => {
            Some((name.as_str().as_bytes().to_vec(), false))
        }
        _ => None,
    })
}

/// A text of X.501 in UTF-8, so that one name in several encodings is one. Of the old ones only UTF-16 is converted.
#[cfg(feature = "tls")]
fn text_of(value: &x509_cert::attr::AttributeValue) -> Vec<u8> {
    use x509_cert::der::{Tag, Tagged};
    if value.tag() != Tag::BmpString {
        return value.value().to_vec();
    }
    let units = value.value().chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into()
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn made(names: &[DnValue], alternatives: &[SanType]) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "an organization");
        for name in names {
            params.distinguished_name.push(DnType::CommonName, name.clone());
        }
        params.subject_alt_names = alternatives.to_vec();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = ClientCertificate::read(certificate.der()).unwrap();
        assert_eq!(Some(*read.fingerprint), sha256(certificate.der()));
        read
    }

    #[test]
    fn a_name_is_the_common_name_or_else_an_alternative_name() {
        let utf8 = |name: &str| DnValue::Utf8String(name.to_owned());
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let address = SanType::IpAddress([192, 0, 2, 1].into());
        for (names, alternatives, expected) in [
            (&[utf8("alice")][..], &[dns("a.test")][..], "alice"),
            (&[DnValue::PrintableString("alice".try_into().unwrap())], &[], "alice"),
            (&[DnValue::BmpString("alice".try_into().unwrap())], &[], "alice"),
            (&[utf8("Zo\u{eb}")], &[], "Zo\u{eb}"),
            (&[utf8("")], &[dns("a.test")], "a.test"),
            (&[], &[dns("A.Test"), dns("b.test")], "a.test"),
            (&[], &[address.clone(), uri("spiffe://test/a"), dns("a.test")], "spiffe://test/a"),
            (&[], &[SanType::Rfc822Name("a@b.test".try_into().unwrap())], "a@b.test"),
        ] {
            let (one, other) = (made(names, alternatives), made(names, alternatives));
            assert_ne!(one.fingerprint, other.fingerprint);
            assert_eq!(
                (Some(*one.name), &one.name, one.is_dns),
                (sha256(expected.as_bytes()), &other.name, expected == "a.test"),
                "{expected}"
            );
        }
        for alternatives in [&[][..], &[address]] {
            let unnamed = made(&[], alternatives);
            assert_eq!(unnamed.name, unnamed.fingerprint);
        }
    }

    #[test]
    fn what_cannot_be_read_has_a_fingerprint_only() {
        for der in [&b""[..], b"\x30\x03abc", &[0xff; 300]] {
            let read = ClientCertificate::read(der).unwrap();
            assert_eq!((Some(*read.fingerprint), read.name), (sha256(der), Arc::clone(&read.fingerprint)));
        }
        let hex: String = sha256(b"abc").unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
