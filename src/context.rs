//! Which context holds where: a scope of async code, or of a closure.
//!
//! ```text
//!   publish(…).context(…)   ──▶  context.scope(…)   ──▶  Builder::service_name
//!   the message's own            around it; in a         the messenger's
//!                                handler, its message's
//! ```
//!
//! The first that sets a field wins, each field for itself.

use pubsub_messenger::{Context, Message};
use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;

task_local! {
    static CURRENT: Context;
}

/// Makes a [`Context`] hold for whatever is published within some code.
///
/// ```
/// use pubsub::{Context, ContextExt, current_context};
///
/// let context = Context::new().with_correlation_id("order-7");
/// context.sync_scope(|| assert_eq!(current_context().correlation_id(), "order-7"));
/// assert_eq!(current_context().correlation_id(), "");
/// ```
pub trait ContextExt {
    /// Runs `future` with this context. Tasks that it spawns do not have it.
    fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Context, F>;

    /// Runs `run` with this context.
    fn sync_scope<R>(self, run: impl FnOnce() -> R) -> R;
}

impl ContextExt for Context {
    fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Context, F> {
        CURRENT.scope(self, future)
    }

    fn sync_scope<R>(self, run: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, run)
    }
}

/// The context that holds here: that of the innermost scope, or one that sets nothing.
#[must_use]
pub fn current_context() -> Context {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// `over` with the fields of `under` where it sets none.
pub(crate) fn overlay(over: &Context, under: &Context) -> Context {
    let mut context = over.clone();
    if context.correlation_id().is_empty() && !under.correlation_id().is_empty() {
        context = context.with_correlation_id(under.correlation_id());
    }
    if context.service_name().is_empty() && !under.service_name().is_empty() {
        context = context.with_service_name(under.service_name());
    }
    context
}

/// What holds in the handler of `message`: its correlation id, and the service name that held where
/// the handler was subscribed.
pub(crate) fn of_handler(message: &Message, subscribed: &Context) -> Context {
    let context = match message.correlation_id() {
        "" => return subscribed.clone(),
        id => Context::new().with_correlation_id(id),
    };
    match subscribed.service_name() {
        "" => context,
        name => context.with_service_name(name),
    }
}
