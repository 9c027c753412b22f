//! Short histories, stopped at every step there is: of appending, rolling, sealing, index writing,
//! checkpoints, trims, file removal, position flushes, closing; and at every step of the opening after.

use std::time::Duration;

use pubsub_sim::{Directories, Rng};
use pubsub_storage::{ChannelConfig, Limits};
use pubsub_types::{Format, SyncPolicy};

use crate::history::{History, Stop};
use crate::model::Ending;
use crate::plan::Plan;
use crate::try_history;

fn plan(format: Format, sync: SyncPolicy, directories: Directories) -> Plan {
    Plan {
        config: ChannelConfig {
            format,
            sync,
            segment_bytes: 700,
            limits: Limits { max_messages_per_subject: 9, ..Limits::default() },
            ..ChannelConfig::default()
        },
        directories,
        subjects: vec!["a", "b.1"],
        channels: 1,
        operations: 0,
        records_max: 4,
        payload_max: 64,
        flush: Duration::ZERO,
        faults: false,
        crashes: false,
        switches: false,
    }
}

/// One scripted history; the same `salt` always lives alike, whatever `stop` says.
fn live(plan: &Plan, salt: u64, reboot: u64, stop: Option<Stop>) -> u64 {
    let mut steps = 0;
    let mut history = History::with_plan(salt, Rng::new(salt), plan.clone());
    history.set_reboot_salt(reboot);
    let what = format!("{plan:?} salt {salt} reboot {reboot} {stop:?}");
    try_history(&mut history, |history| steps = history.run_script(stop))
        .unwrap_or_else(|text| panic!("{}\n{text}\n{what}", history.trace()));
    steps
}

fn plans() -> impl Iterator<Item = Plan> {
    let formats = [Format::Binary, Format::Jsonl].into_iter();
    let syncs = [SyncPolicy::Always, SyncPolicy::Periodic];
    let models = [Directories::Strict, Directories::Ext4Like];
    formats.flat_map(move |format| {
        syncs.into_iter().flat_map(move |sync| {
            models.into_iter().map(move |directories| plan(format, sync, directories))
        })
    })
}

#[test]
fn a_crash_at_any_step_keeps_every_promise() {
    for plan in plans() {
        let steps = live(&plan, 1, 0, None);
        assert!(steps > 80, "a script of {steps} steps is too short");
        for at in 1..=steps {
            let stop = |ending| Some(Stop { at, ending, again: 0 });
            live(&plan, 1, 0, stop(Ending::Kill));
            for reboot in 0..3 {
                live(&plan, 1, reboot, stop(Ending::Cut));
            }
        }
    }
}

#[test]
fn a_crash_at_any_step_of_the_opening_after_a_crash_keeps_every_promise() {
    for plan in plans() {
        let steps = live(&plan, 2, 0, None);
        for at in (1..=steps).step_by(7) {
            for again in 1..=26 {
                for ending in [Ending::Kill, Ending::Cut] {
                    live(&plan, 2, again, Some(Stop { at, ending, again }));
                }
            }
        }
    }
}
