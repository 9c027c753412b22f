//! What a publisher stamps on all its messages.

use std::sync::Arc;

/// What a publisher stamps on all its messages: a correlation id and a service name.
///
/// Both are any text, independent of each other, and empty when not set. A context is a value: each
/// `with_` gives a new one and leaves the old one as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    correlation_id: Option<Arc<str>>,
    service_name: Option<Arc<str>>,
}

impl Context {
    /// A context that stamps nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { correlation_id: None, service_name: None }
    }

    /// The same with this correlation id, which groups the messages of one multi-step process.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The same with this service name, which says who published.
    #[must_use]
    pub fn with_service_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// The correlation id, or "".
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.correlation_id.as_deref().unwrap_or_default()
    }

    /// The service name, or "".
    #[must_use]
    pub fn service_name(&self) -> &str {
        self.service_name.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Context;

    #[test]
    fn what_is_not_set_is_empty() {
        assert_eq!((Context::new().correlation_id(), Context::new().service_name()), ("", ""));
    }

    #[test]
    fn setting_one_keeps_the_other_and_the_last_one_set_counts() {
        let first = Context::new().with_correlation_id("corr-1").with_service_name("svc");
        let second = first.clone().with_correlation_id("");
        assert_eq!((second.correlation_id(), second.service_name()), ("", "svc"));
        assert_eq!(first.correlation_id(), "corr-1");
        let odd = "\u{0}é\n\"";
        assert_eq!(Context::new().with_service_name(odd).service_name(), odd);
    }
}
