//! Two spellings of "sync each write": `sync_policy: always`, and `sync_interval_ms: 0` alone.
//!
//! The predecessor first had a policy with an interval, then the interval only, 0 meaning each write.
//! Both kinds of files open here and mean what they meant; a file that mixes them up is told so.

use pubsub_types::SyncPolicy;

use crate::Config;
use crate::contradictions::Finding;
use crate::section::join;

const POLICY: &str = "sync_policy";
const INTERVAL: &str = "sync_interval_ms";

impl Config {
    /// Lets the policy follow from the interval where only the interval was given.
    pub(crate) fn settle_sync(&mut self) {
        let origins = &mut self.origins;
        let mut settle = |path: &str, each_write: bool| {
            let (policy, interval) = (join(path, POLICY), join(path, INTERVAL));
            if origins.is_given(&policy) {
                return None;
            }
            if each_write && origins.is_given(&interval) {
                origins.derive(&policy, &interval);
                return Some(Some(SyncPolicy::Always));
            }
            // A flag may have taken back the interval that a file gave.
            origins.underive(&policy).then_some(None)
        };
        if let Some(policy) = settle("storage", self.storage.sync_interval_ms == 0) {
            self.storage.sync_policy = policy.unwrap_or_default();
        }
        for (filter, over) in &mut self.storage.channels {
            let path = format!("storage.channels.{filter}");
            if let Some(policy) = settle(&path, over.sync_interval_ms == Some(0)) {
                over.sync_policy = policy;
            }
        }
    }
}

/// Intervals that contradict their policy, or would silently do nothing.
pub(crate) fn contradictions(config: &Config, found: &mut Vec<Finding>) {
    let storage = &config.storage;
    if storage.sync_interval_ms == 0 && storage.sync_policy != SyncPolicy::Always {
        found.push(zero_with("storage", storage.sync_policy));
    }
    let policy_of_others = storage.channels.values().any(|over| over.sync_policy.is_some());
    for (filter, over) in &storage.channels {
        let path = format!("storage.channels.{filter}");
        match (over.sync_interval_ms, over.sync_policy) {
            (Some(0), Some(SyncPolicy::Always)) | (None, _) => (),
            (Some(0), policy) => found.push(zero_with(&path, policy.unwrap_or_default())),
            (Some(_), None) if storage.sync_policy != SyncPolicy::Periodic && !policy_of_others => {
                found.push(Finding::contradiction(
                    &[&join(&path, INTERVAL), "storage.sync_policy"],
                    format!(
                        "has no effect, as sync_policy is {} here; add sync_policy: periodic",
                        storage.sync_policy
                    ),
                ));
            }
            (Some(_), _) => (),
        }
    }
}

fn zero_with(path: &str, policy: SyncPolicy) -> Finding {
    Finding::contradiction(
        &[&join(path, INTERVAL), &join(path, POLICY)],
        format!(
            "0 asks for a sync at each write, and sync_policy is {policy}; allowed: sync_policy: \
             always, or an interval from 1"
        ),
    )
}
