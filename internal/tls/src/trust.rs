//! Whom we believe: certificates that an authority of ours signed and has not taken back.
//!
//! ```text
//!   leaf ─▶ of an instance? ─▶ for each authority: signed, in its time, not revoked? ─▶ name fit? ─▶ Peer
//! ```
//!
//! Each authority is asked by itself, with its own revocation lists: two of them may bear the same
//! name while one takes over from the other.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId,
    KeyPurposeIdIter, KeyUsage, OwnedCertRevocationList, RequiredEkuNotFoundContext,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate::{Certificate, instant};
use crate::error::TlsError;
use crate::files::{self, Part};
use crate::name::NameError;
use crate::refused::{Refusal, Refused};
use crate::text::{date, printable};

/// Certificates a peer may show between its own and the authority.
const INTERMEDIATES_MAX: usize = 4;

/// Longest certificate that is looked into, in bytes.
const CERTIFICATE_MAX_BYTES: usize = 16 << 10;

/// The authorities, and what they have taken back.
pub struct Trust {
    authorities: Vec<Authority>,
    /// The earliest instant at which a list should have been replaced.
    lists_until: Option<UnixTime>,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
}

struct Authority {
    anchor: TrustAnchor<'static>,
    der: CertificateDer<'static>,
    facts: Certificate,
    lists: Vec<CertRevocationList<'static>>,
}

/// A peer that was believed: who it is, and what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Name of the instance, as its certificate says.
    pub name: String,
    /// Last instant at which its certificate is valid.
    pub not_after: UnixTime,
    /// Serial number of its certificate, in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 over its certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// What it showed, its own certificate first.
    chain: Arc<[CertificateDer<'static>]>,
}

impl Trust {
    /// Reads the authorities' certificates, and the lists of what they revoked.
    ///
    /// Certificates in `ca` that are not of an authority are passed over, so that a file may hold
    /// everything an instance needs. A list must be from an authority in `ca`; one of which there is
    /// no list has revoked nothing.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub fn load(ca: &Path, crl: Option<&Path>) -> Result<Self, TlsError> {
        let authorities = files::read(Part::Authority, ca)?;
        let lists = crl.map(|path| files::read(Part::Revocations, path)).transpose()?;
        Self::from_pem(ca, &authorities, crl.zip(lists.as_deref()))
    }

    pub(crate) fn from_pem(
        ca: &Path,
        authorities: &[u8],
        lists: Option<(&Path, &[u8])>,
    ) -> Result<Self, TlsError> {
        let algorithms =
            rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let authorities = read_authorities(ca, authorities)?;
        let mut trust = Self { authorities, lists_until: None, algorithms };
        if let Some((path, bytes)) = lists {
            for list in files::revocation_lists(path, bytes)? {
                trust.add_list(ca, path, &list)?;
            }
        }
        Ok(trust)
    }

    /// Judges what a peer shows: its own certificate first, then those that lead to an authority.
    ///
    /// # Errors
    /// Why the peer is not believed.
    pub fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Peer, Refused> {
        let facts = read_leaf(chain)?;
        self.check_signed(&facts, chain, now, true)?;
        Peer::new(&facts, chain)
    }

    /// The same for our own: whether it can ever be believed, in its time and unless revoked. The
    /// authority that signed it comes with it.
    pub(crate) fn check_own(
        &self,
        facts: &Certificate,
        chain: &[CertificateDer<'_>],
    ) -> Result<&Certificate, Refused> {
        let authority = self.check_signed(facts, chain, facts.not_before, false)?;
        facts.name().map_err(|error| bad_name(facts, &error))?;
        Ok(authority)
    }

    /// The facts of the authorities.
    pub fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        self.authorities.iter().map(|authority| &authority.facts)
    }

    /// The instant from which a list of revoked certificates should have been replaced by a newer
    /// one, `None` when there is no list. An old list is still believed.
    #[must_use]
    pub const fn lists_until(&self) -> Option<UnixTime> {
        self.lists_until
    }

    fn check_signed(
        &self,
        facts: &Certificate,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        strict: bool,
    ) -> Result<&Certificate, Refused> {
        let refuse = |kind, text: String| Err(Refused::new(kind, facts.shown_name(), text));
        if facts.usages.is_empty() && !facts.is_ca {
            let text = "says not what it is for, wanted the extended key usage serverAuth or \
                        clientAuth";
            return refuse(Refusal::WrongUsage, text.to_owned());
        }
        if !facts.may_sign && !facts.is_ca {
            let text = "its key may not sign, wanted the key usage digitalSignature";
            return refuse(Refusal::WrongUsage, text.to_owned());
        }
        let mut best: Option<Refused> = None;
        for authority in &self.authorities {
            let refused = match self.ask(authority, facts, chain, now, strict) {
                Ok(()) => return Ok(&authority.facts),
                Err(refused) => refused,
            };
            // What an authority that signed it has to say is worth more than that others did not.
            if best.as_ref().is_none_or(|best| best.kind == Refusal::OtherAuthority) {
                best = Some(refused);
            }
        }
        match best {
            Some(refused) => Err(refused),
            None => refuse(Refusal::OtherAuthority, "there is no authority".to_owned()),
        }
    }

    /// Whether one authority stands for a certificate.
    fn ask(
        &self,
        authority: &Authority,
        facts: &Certificate,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        strict: bool,
    ) -> Result<(), Refused> {
        let unreadable = || Refused::new(Refusal::Unreadable, facts.shown_name(), "is damaged");
        let (leaf, intermediates) = chain.split_first().ok_or_else(unreadable)?;
        let leaf =
            EndEntityCert::try_from(leaf).map_err(|error| authority.refuse(&error, facts, now))?;
        let lists: Vec<_> = if strict { authority.lists.iter().collect() } else { Vec::new() };
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_status_policy(UnknownStatusPolicy::Allow).build());
        let anchors = std::slice::from_ref(&authority.anchor);
        let path = leaf
            .verify_for_usage(
                self.algorithms,
                anchors,
                intermediates,
                now,
                Connections,
                revocation,
                None,
            )
            .map_err(|error| authority.refuse(&error, facts, now))?;
        let between = path.intermediate_certificates().count();
        if authority.facts.path_len.is_some_and(|most| between > most as usize) {
            let text = format!(
                "{between} authorities stand between it and {}, which allows {}",
                authority.facts.subject,
                authority.facts.path_len.unwrap_or_default()
            );
            return Err(Refused::new(Refusal::OtherAuthority, facts.shown_name(), text));
        }
        let span = authority.facts.not_before..=authority.facts.not_after;
        if strict && !span.contains(&now) {
            let text = format!(
                "its authority {} is valid from {} to {}, and it is {}",
                authority.facts.subject,
                date(*span.start()),
                date(*span.end()),
                date(now)
            );
            return Err(Refused::new(Refusal::AuthorityExpired, facts.shown_name(), text));
        }
        Ok(())
    }

    /// Gives a list to the authority that signed it.
    fn add_list(&mut self, ca: &Path, path: &Path, der: &[u8]) -> Result<(), TlsError> {
        let malformed = |reason: String| TlsError::Malformed {
            what: Part::Revocations.what(),
            file: path.to_owned(),
            reason,
        };
        let (_, parsed) = CertificateRevocationList::from_der(der)
            .map_err(|error| malformed(format!("no X.509 list: {error}")))?;
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|error| malformed(format!("{error:?}")))?;
        let list = CertRevocationList::from(list);
        let algorithms = self.algorithms;
        let signer = self
            .authorities
            .iter_mut()
            .find(|authority| authority.signed(&list, &parsed, algorithms));
        let Some(signer) = signer else {
            return Err(TlsError::ForeignList {
                file: path.to_owned(),
                ca: ca.to_owned(),
                found: printable(&parsed.issuer().to_string()),
            });
        };
        signer.lists.push(list);
        let until = parsed.next_update().map(instant);
        self.lists_until = [self.lists_until, until].into_iter().flatten().min();
        Ok(())
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities: Vec<_> = self.authorities().map(|facts| &facts.subject).collect();
        f.debug_struct("Trust").field("authorities", &authorities).finish_non_exhaustive()
    }
}

impl Authority {
    fn new(der: &CertificateDer<'static>, facts: Certificate) -> Result<Self, String> {
        let anchor = webpki::anchor_from_trusted_cert(der).map_err(|error| format!("{error:?}"))?;
        Ok(Self { anchor: anchor.to_owned(), der: der.clone(), facts, lists: Vec::new() })
    }

    /// Whether a revocation list is from this authority.
    fn signed(
        &self,
        list: &CertRevocationList<'_>,
        parsed: &CertificateRevocationList<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        // Nothing of a leaf is asked of it here: this is how the library hands out a key.
        let Ok(own) = EndEntityCert::try_from(&self.der) else { return false };
        let (signed, signature) = (parsed.tbs_cert_list.as_ref(), &parsed.signature_value.data);
        list.issuer() == own.subject()
            && algorithms.iter().any(|by| own.verify_signature(*by, signed, signature).is_ok())
    }

    /// What this authority says to a failure of the library.
    fn refuse(&self, error: &Error, facts: &Certificate, now: UnixTime) -> Refused {
        let ours = &self.facts.subject;
        let (kind, text) = match error {
            Error::CertExpired { not_after, .. } => {
                (Refusal::Expired, format!("ended {}, and it is {}", date(*not_after), date(now)))
            }
            Error::CertNotValidYet { not_before, .. } => {
                let text = format!("begins {}, and it is {}", date(*not_before), date(now));
                (Refusal::NotYetValid, text)
            }
            Error::CaUsedAsEndEntity => {
                let text = "is a CA certificate, wanted the one of an instance".to_owned();
                (Refusal::CaAsLeaf, text)
            }
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                let found = facts.usages.join(", ");
                let text = format!("is for {found}, wanted serverAuth or clientAuth");
                (Refusal::WrongUsage, text)
            }
            Error::CertRevoked => {
                (Refusal::Revoked, format!("serial {} was revoked by {ours}", facts.serial))
            }
            Error::UnknownIssuer => {
                (Refusal::OtherAuthority, format!("is from {}, wanted {ours}", facts.issuer))
            }
            Error::InvalidSignatureForPublicKey => {
                let text = format!("says it is from {ours}, but another signed it");
                (Refusal::OtherAuthority, text)
            }
            error => (Refusal::Unreadable, format!("does not pass: {error:?}")),
        };
        Refused::new(kind, facts.shown_name(), text)
    }
}

impl Peer {
    fn new(facts: &Certificate, chain: &[CertificateDer<'_>]) -> Result<Self, Refused> {
        let name = facts.name().map_err(|error| bad_name(facts, &error))?.to_owned();
        Ok(Self {
            name,
            not_after: facts.not_after,
            serial: facts.serial.clone(),
            fingerprint: facts.fingerprint.clone(),
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
        })
    }

    /// Who has shown these certificates. They must have been judged before.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, Refused> {
        Self::new(&read_leaf(chain)?, chain)
    }

    /// What it showed, its own certificate first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// For connections, of either side: one certificate serves an instance that dials and listens.
struct Connections;

impl ExtendedKeyUsageValidator for Connections {
    /// An authority in between may say nothing about usage; that the leaf says something is seen to
    /// elsewhere.
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let wanted = [SERVER_AUTH, CLIENT_AUTH].map(KeyPurposeId::new);
        let mut present = Vec::new();
        for usage in usages {
            let usage = usage?;
            if wanted.contains(&usage) {
                return Ok(());
            }
            present.push(usage.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::server_auth();
        Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}

/// 1.3.6.1.5.5.7.3.1, as it is encoded.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// 1.3.6.1.5.5.7.3.2, as it is encoded.
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// Reads the certificate of the peer itself, of what it showed, and bounds the rest.
fn read_leaf(chain: &[CertificateDer<'_>]) -> Result<Certificate, Refused> {
    let unreadable = |text: String| Refused::new(Refusal::Unreadable, "a peer", text);
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(Refused::new(Refusal::NoCertificate, "a peer", "it showed none"));
    };
    if intermediates.len() > INTERMEDIATES_MAX {
        let most = INTERMEDIATES_MAX + 1;
        return Err(unreadable(format!("{} certificates, of {most} at most", chain.len())));
    }
    if let Some(long) = chain.iter().find(|der| der.len() > CERTIFICATE_MAX_BYTES) {
        let text = format!("{} bytes, of {CERTIFICATE_MAX_BYTES} at most", long.len());
        return Err(unreadable(text));
    }
    Certificate::read(leaf).map_err(|reason| unreadable(printable(&reason)))
}

fn bad_name(facts: &Certificate, error: &NameError) -> Refused {
    let text = match error {
        NameError::Empty if facts.has_alternative_names => {
            "names no instance: wanted a DNS name among the alternative names".to_owned()
        }
        NameError::Empty => "names no instance: wanted a DNS name or one common name".to_owned(),
        error => format!("names no instance: {error}"),
    };
    Refused::new(Refusal::BadName, facts.shown_name(), text)
}

fn read_authorities(path: &Path, bytes: &[u8]) -> Result<Vec<Authority>, TlsError> {
    let malformed = |reason: String| TlsError::Malformed {
        what: Part::Authority.what(),
        file: path.to_owned(),
        reason: printable(&reason),
    };
    let mut found = String::new();
    let mut authorities = Vec::new();
    for der in files::certificates(Part::Authority, path, bytes)? {
        let facts = Certificate::read(&der).map_err(malformed)?;
        if facts.is_ca && facts.may_sign_certificates {
            authorities.push(Authority::new(&der, facts).map_err(malformed)?);
        } else {
            found = facts.shown_name();
        }
    }
    if authorities.is_empty() {
        return Err(TlsError::NotAnAuthority { file: path.to_owned(), found });
    }
    Ok(authorities)
}
