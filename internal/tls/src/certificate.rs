//! What a certificate says. Whether that is to be believed is another question: see [`Trust`].
//!
//! [`Trust`]: crate::Trust

use std::net::IpAddr;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::name::{NameError, check_name};
use crate::text::printable;

/// The facts of one certificate, as it states them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// Subject as one line; fit to be shown, and for nothing else.
    pub subject: String,
    /// Issuer as one line; fit to be shown, and for nothing else.
    pub issuer: String,
    /// Common name of the issuer; fit to be shown, and for nothing else.
    pub issuer_name: String,
    /// Common names of the subject, as they came.
    pub common_names: Vec<String>,
    /// Whether there is an extension of alternative names.
    pub has_alternative_names: bool,
    /// DNS names among the alternative names, as they came; text that is none is kept empty.
    pub dns_names: Vec<String>,
    /// Addresses among the alternative names.
    pub ip_addresses: Vec<IpAddr>,
    /// First instant at which it is valid.
    pub not_before: UnixTime,
    /// Last instant at which it is valid.
    pub not_after: UnixTime,
    /// Serial number, in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 over the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// How many authorities may stand between it and a leaf; `None` is any number.
    pub path_len: Option<u32>,
    /// Whether its key may sign, which every handshake needs.
    pub may_sign: bool,
    /// Whether its key may sign certificates.
    pub may_sign_certificates: bool,
    /// Extended key usages: `serverAuth`, `clientAuth`, others by name or number.
    pub usages: Vec<String>,
    /// Kind of the public key, such as `ECDSA P-256`.
    pub key: String,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// What it is that cannot be read.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|error| format!("no X.509: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the certificate", rest.len()));
        }
        let constraints = parsed
            .basic_constraints()
            .map_err(|error| format!("basic constraints: {error}"))?
            .map(|extension| extension.value);
        let key_usage =
            parsed.key_usage().map_err(|error| format!("key usage: {error}"))?.map(|e| e.value);
        let mut facts = Self {
            subject: printable(&parsed.subject().to_string()),
            issuer: printable(&parsed.issuer().to_string()),
            issuer_name: common_names(parsed.issuer())
                .first()
                .map_or_else(String::new, |name| printable(name)),
            common_names: common_names(parsed.subject()),
            has_alternative_names: false,
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            not_before: instant(parsed.validity().not_before),
            not_after: instant(parsed.validity().not_after),
            serial: serial(parsed.raw_serial()),
            fingerprint: hex(digest(der).as_ref()),
            is_ca: constraints.is_some_and(|constraints| constraints.ca),
            path_len: constraints.and_then(|constraints| constraints.path_len_constraint),
            may_sign: key_usage.is_none_or(|usage| usage.digital_signature()),
            may_sign_certificates: key_usage.is_none_or(|usage| usage.key_cert_sign()),
            usages: usages(&parsed)?,
            key: key_kind(&parsed),
        };
        facts.read_alternative_names(&parsed)?;
        Ok(facts)
    }

    /// The name of the instance that it is for: the first DNS name among the alternative names, or
    /// the common name when there are no alternative names at all.
    ///
    /// # Errors
    /// There is none, or it is not fit to be one.
    pub fn name(&self) -> Result<&str, NameError> {
        let name = match (self.has_alternative_names, self.common_names.as_slice()) {
            (true, _) => self.dns_names.first().map_or("", String::as_str),
            (false, [name]) => name,
            // Two common names are two answers, and so none.
            (false, _) => "",
        };
        check_name(name)?;
        Ok(name)
    }

    /// The name as far as there is one, for whoever has to be told of the certificate.
    #[must_use]
    pub fn shown_name(&self) -> String {
        match self.dns_names.first().or_else(|| self.common_names.first()) {
            Some(name) if !name.is_empty() => printable(name),
            _ => format!("({})", self.subject),
        }
    }

    fn read_alternative_names(&mut self, parsed: &X509Certificate<'_>) -> Result<(), String> {
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| format!("alternative names: {error}"))?;
        let Some(names) = names else { return Ok(()) };
        self.has_alternative_names = true;
        for name in &names.value.general_names {
            match name {
                GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => self.ip_addresses.extend(address(bytes)),
                GeneralName::Invalid(tag, _) if tag.0 == DNS_NAME => {
                    self.dns_names.push(String::new());
                }
                _ => (),
            }
        }
        Ok(())
    }
}

/// Number of a DNS name among the kinds of alternative names (RFC 5280, 4.2.1.6).
const DNS_NAME: u32 = 2;

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> aws_lc_rs::digest::Digest {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A serial number, without the zeros that only say that it is not negative.
fn serial(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    hex(&bytes[zeros.min(bytes.len().saturating_sub(1))..])
}

/// An instant of ASN.1; what was before 1970 is 1970.
pub(crate) fn instant(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn common_names(name: &X509Name<'_>) -> Vec<String> {
    // What is not text is kept as an empty name, which is refused where a name is needed.
    let text = |part: &AttributeTypeAndValue<'_>| part.as_str().unwrap_or_default().to_owned();
    name.iter_common_name().map(text).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn usages(parsed: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let extension =
        parsed.extended_key_usage().map_err(|error| format!("extended key usage: {error}"))?;
    let Some(usage) = extension.map(|extension| extension.value) else { return Ok(Vec::new()) };
    let known = [
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
        (usage.any, "any"),
    ];
    let known = known.into_iter().filter(|(has, _)| *has).map(|(_, name)| name.to_owned());
    Ok(known.chain(usage.other.iter().map(|oid| printable(&oid.to_id_string()))).collect())
}

fn key_kind(parsed: &X509Certificate<'_>) -> String {
    let key = parsed.public_key();
    let curve = || {
        key.algorithm.parameters.as_ref()?.as_oid().ok().map(|oid| {
            match oid.to_id_string().as_str() {
                "1.2.840.10045.3.1.7" => "P-256".to_owned(),
                "1.3.132.0.34" => "P-384".to_owned(),
                "1.3.132.0.35" => "P-521".to_owned(),
                other => printable(other),
            }
        })
    };
    match key.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => format!("ECDSA {}", curve().unwrap_or_default()),
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        other => printable(other),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber, SignatureAlgorithm};

    use super::*;

    fn made(
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        Certificate::read(params.self_signed(&key).unwrap().der()).unwrap()
    }

    fn of(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        made(&rcgen::PKCS_ECDSA_P256_SHA256, change)
    }

    #[test]
    fn two_common_names_are_no_name() {
        let name = |text| {
            move |params: &mut CertificateParams| {
                params.distinguished_name.push(DnType::CommonName, text);
            }
        };
        assert_eq!(of(name("a")).name(), Ok("a"));
        let facts = of(|params| {
            name("a")(params);
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "b");
        });
        assert_eq!(facts.common_names, ["a", "b"]);
        assert_eq!(facts.name(), Err(NameError::Empty));
    }

    #[test]
    fn address_is_no_name() {
        let facts = of(|params| {
            params.distinguished_name.push(DnType::CommonName, "a");
            params.subject_alt_names = vec![
                SanType::IpAddress([127, 0, 0, 1].into()),
                SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
            ];
        });
        assert_eq!(facts.ip_addresses.len(), 2);
        assert_eq!(facts.name(), Err(NameError::Empty));
    }

    #[test]
    fn serial_is_shown_without_the_zero_that_keeps_it_positive() {
        let serial = |bytes: &[u8]| {
            of(|params| params.serial_number = Some(SerialNumber::from_slice(bytes))).serial
        };
        assert_eq!(serial(&[0xfe, 0x01]), "fe01");
        assert_eq!(serial(&[0x00, 0x12]), "12");
        assert_eq!(serial(&[0x00]), "00");
    }

    #[test]
    fn kinds_of_keys_are_named() {
        let key = |algorithm| made(algorithm, |_| ()).key;
        assert_eq!(key(&rcgen::PKCS_ED25519), "Ed25519");
        assert_eq!(key(&rcgen::PKCS_ECDSA_P256_SHA256), "ECDSA P-256");
        assert_eq!(key(&rcgen::PKCS_ECDSA_P384_SHA384), "ECDSA P-384");
    }

    #[test]
    fn bytes_after_a_certificate_are_no_part_of_it() {
        let key = KeyPair::generate().unwrap();
        let mut der = CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
        der.push(0);
        Certificate::read(&der.into()).unwrap_err();
    }
}
