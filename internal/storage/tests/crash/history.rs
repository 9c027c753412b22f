//! One history: a store lives, is killed and lives again as one seed decides, and is judged by its
//! promises each time.
//!
//! ```text
//!   seed ──▶ plan ──▶ open ─▶ operation ─▶ operation ─▶ … ─▶ crash ─▶ reboot ─▶ open ─▶ …
//!                      ╰ look                                                     ╰ look, settle
//! ```
//!
//! There is one thread, no clock, and every choice comes from the seed.

mod operations;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use pubsub_disk::Disk;
use pubsub_envelope::NewRecord;
use pubsub_sim::{Fault, Loss, Op, Rng, SimDisk};
use pubsub_storage::{Channel, Finding, Item, PublishError, Reader, Start, Store, Ticket};
use pubsub_types::{ChannelName, Filter, Seq, SubscriberId, Timestamp};
use uuid::Uuid;

use crate::model::{Ending, Firm, Model, Rec, State};
use crate::plan::Plan;
use crate::promises::positions::Standing;
use crate::promises::{Look, deletes, index, order};
use crate::queue::{Queue, Work};
use crate::see::{Seen, identify, see};

/// A channel of a history, with all that is known of it.
struct Line {
    name: ChannelName,
    handle: Option<Arc<Channel>>,
    /// One that lives as long as the handle, whatever happens to the channel meanwhile.
    reader: Option<Reader>,
    model: Model,
    /// It was made, so it must be there.
    exists: bool,
    /// It was being removed when the process died: it is there whole, or not at all.
    removing: bool,
    ending: Ending,
    /// A process died that knew of a failed sync it had not made good.
    tainted: bool,
    /// Compaction may have deleted all up to this one.
    consumed: u64,
    standings: BTreeMap<SubscriberId, Standing>,
}

/// A history in the making.
pub(crate) struct History {
    seed: u64,
    rng: Rng,
    plan: Plan,
    pub(crate) disk: SimDisk,
    queue: Queue,
    store: Option<Arc<Store>>,
    lines: Vec<Line>,
    now: i64,
    /// The latest time that the store was told.
    ticked: i64,
    published: u64,
    /// Faults were planned and not healed.
    faulty: bool,
    sync_faults: bool,
    /// Where and how a scripted history is stopped, instead of by chance.
    stop: Option<Stop>,
    reboot_salt: u64,
    log: String,
}

/// Where a scripted history is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// Step of the disk, counted from the first opening.
    pub(crate) at: u64,
    /// By whom.
    pub(crate) ending: Ending,
    /// Step of the next opening at which it is stopped once more; 0 for none.
    pub(crate) again: u64,
}

const SECOND: i64 = 1_000_000_000;

impl History {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        Self::with_plan(seed, rng, plan)
    }

    pub(crate) fn with_plan(seed: u64, mut rng: Rng, plan: Plan) -> Self {
        let disk = SimDisk::new(rng.next_u64());
        disk.set_directories(plan.directories);
        let line = |nth: usize| Line {
            name: ChannelName::new(["orders", "x.y"][nth]).unwrap(),
            handle: None,
            reader: None,
            model: Model::default(),
            exists: false,
            removing: false,
            ending: Ending::Clean,
            tainted: false,
            consumed: 0,
            standings: BTreeMap::new(),
        };
        let lines = (0..plan.channels).map(line).collect();
        let log = format!("{plan:?}\n");
        Self {
            seed,
            rng,
            plan,
            disk,
            queue: Queue::default(),
            store: None,
            lines,
            now: 1_700_000_000 * SECOND,
            ticked: 0,
            published: 0,
            faulty: false,
            sync_faults: false,
            stop: None,
            reboot_salt: 0,
            log,
        }
    }

    /// What was done and what the disk was asked, for whoever reads a failure.
    pub(crate) fn trace(&self) -> String {
        format!("{}\n--- the disk's last operations\n{}", self.log, self.disk.trace())
    }

    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.log, "{:>5} {line}", self.disk.steps()).unwrap();
    }

    /// From the first opening to the last look.
    pub(crate) fn run(&mut self) {
        self.open();
        for _ in 0..self.plan.operations {
            self.operate();
            if self.disk.is_crashed() {
                self.crashed();
                self.open();
            }
        }
        self.finish();
    }

    /// Lets power cuts take something else.
    pub(crate) fn set_reboot_salt(&mut self, salt: u64) {
        self.reboot_salt = salt;
    }

    /// A short life with a bit of everything, stopped where it is told; how many steps it took.
    pub(crate) fn run_script(&mut self, stop: Option<Stop>) -> u64 {
        (self.plan.crashes, self.plan.faults) = (false, false);
        if let Some(Stop { at, .. }) = stop {
            self.stop = stop;
            self.disk.crash_at(at);
        }
        let script: [fn(&mut Self); 18] = [
            Self::open,
            |it| it.append(0),
            Self::drain,
            |it| it.open_subscriber_named("s1", 0),
            |it| it.append(0),
            |it| it.delete(0),
            |it| it.append(0),
            Self::drain,
            |it| it.move_subscriber("s1", 0),
            |it| it.append(0),
            Self::drain,
            |it| it.trim(0),
            |it| it.append(0),
            Self::drain,
            |it| it.pass_time(2_000),
            Self::drain,
            Self::close_and_reopen,
            |it| it.append(0),
        ];
        for step in script {
            step(self);
            self.note();
            if self.disk.is_crashed() {
                self.crashed();
                self.open();
                break;
            }
        }
        let steps = self.disk.steps();
        self.finish();
        steps
    }

    // Opening.

    /// Opens the store and looks at every channel, whatever comes in between.
    fn open(&mut self) {
        let mut crashes_left = if self.plan.crashes { 3 } else { 0 };
        loop {
            if crashes_left > 0 && self.rng.chance(1, 5) {
                crashes_left -= 1;
                let step = self.disk.steps() + 1 + self.rng.below(40);
                self.disk.crash_at(step);
                self.say(format_args!("crash planned while opening, at step {step}"));
            }
            if self.plan.faults && self.rng.chance(1, 12) {
                self.inject();
            }
            let opened = self.try_open();
            if self.disk.is_crashed() {
                self.crashed();
                continue;
            }
            match opened {
                Ok(()) => return,
                Err(error) => {
                    assert!(self.faulty, "liveness: opening fails without a fault: {error}");
                    self.say(format_args!("opening failed: {error}"));
                    self.close_handles(false);
                    self.disk.kill();
                    self.mark_ending(Ending::Kill);
                    self.heal();
                }
            }
        }
    }

    fn try_open(&mut self) -> Result<(), String> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let id = Uuid::from_u128(u128::from(self.seed) << 64 | 1);
        if self.plan.switches && self.rng.chance(1, 10) {
            self.plan.config.format = match self.plan.config.format {
                pubsub_types::Format::Binary => pubsub_types::Format::Jsonl,
                pubsub_types::Format::Jsonl => pubsub_types::Format::Binary,
            };
        }
        let format = self.plan.config.format;
        self.say(format_args!("open, {format}"));
        let queue = Arc::new(self.queue.clone());
        let store = Store::open(disk, queue, self.plan.options(), id).map_err(text)?;
        self.store = Some(store);
        for nth in 0..self.lines.len() {
            self.open_channel(nth)?;
        }
        Ok(())
    }

    fn open_channel(&mut self, nth: usize) -> Result<(), String> {
        let store = self.store.clone().expect("just opened");
        let (now, line) = (Timestamp(self.now), &mut self.lines[nth]);
        if line.removing {
            let names = store.channels().map_err(text)?;
            if names.contains(&line.name) {
                line.standings.values_mut().for_each(Standing::doubt);
            } else {
                line.begin_anew();
            }
            line.removing = false;
        }
        let opened = if line.exists {
            store.channel(&line.name, now)
        } else {
            store.open_or_create(&line.name, now)
        };
        let channel = opened.map_err(text)?;
        line.exists = true;
        line.handle = Some(channel.clone());
        line.reader = Some(channel.reader(0));
        let findings = channel.findings();
        let (first, last) = (channel.first_seq(), channel.last_seq());
        let name = line.name.clone();
        self.say(format_args!("{name} opened with {first} to {last}; {findings:?}"));
        self.look(nth, true).inspect_err(|_| self.lines[nth].let_go())
    }

    /// Looks at a channel, judges, and settles.
    fn look(&mut self, nth: usize, opening: bool) -> Result<(), String> {
        let step = 1 + self.rng.index(60);
        let always = self.plan.always();
        let line = &mut self.lines[nth];
        let Some(channel) = line.handle.clone() else { return Ok(()) };
        line.model.resolve(always);
        let ending = if opening { line.ending } else { Ending::Running };
        let seen = see(&channel, &line.model, step).map_err(text)?;
        let (plan, model, now) = (&self.plan, &line.model, self.ticked);
        let consumed = line.consumed;
        Look { plan, model, seen: &seen, ending, now, consumed }.check();
        line.model.settle(&seen, ending, line.tainted, always);
        line.model.estimated |= channel.findings().iter().any(Finding::is_loss);
        if !line.model.estimated && line.model.waiting() == 0 {
            deletes::bytes_are_about_right(&line.model, channel.stats().bytes);
        }
        if opening {
            line.ending = Ending::Running;
            line.tainted = false;
            line.consumed = line.consumed.min(seen.last);
            for standing in line.standings.values_mut() {
                standing.clamp(seen.last);
            }
            if self.rng.chance(1, 8) && !self.faulty {
                self.check_indexes(nth);
            }
        }
        Ok(())
    }

    fn check_indexes(&mut self, nth: usize) {
        let Some(channel) = self.lines[nth].handle.clone() else { return };
        let messages = self.lines[nth].model.live().into_iter().cloned().collect::<Vec<_>>();
        // Where messages were lost, counts are estimates.
        let exact = !self.lines[nth].model.estimated;
        index::answers_are_a_models(&channel, &messages, exact);
        index::equals_a_rebuild(&self.disk, &self.plan, &channel, &messages, exact);
    }

    // Ending.

    /// The machine has stopped: was it the power or the process?
    fn crashed(&mut self) {
        let by_chance = if self.rng.chance(2, 5) { Ending::Kill } else { Ending::Cut };
        self.close_handles(true);
        self.end(self.stop.map_or(by_chance, |stop| stop.ending));
        if let Some(stop) = self.stop.take() {
            let Stop { again, .. } = stop;
            if again > 0 {
                self.disk.crash_at(self.disk.steps() + again);
                self.stop = Some(Stop { again: 0, ..stop });
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Cut => {
                let seed = self.rng.next_u64() ^ self.reboot_salt;
                self.say(format_args!("power cut, {seed:#x}"));
                self.disk.reboot(seed);
            }
            _ => {
                self.say(format_args!("killed"));
                self.disk.restart();
            }
        }
        self.mark_ending(ending);
        self.heal();
    }

    /// Drops all that the process had. `crashed`: something was interrupted.
    fn close_handles(&mut self, crashed: bool) {
        let always = self.plan.always();
        for line in &mut self.lines {
            line.model.resolve(always);
            line.note_failures();
            line.model.give_up();
            line.standings.values_mut().for_each(|standing| standing.give_up(crashed));
            line.let_go();
        }
        self.queue.forget();
        self.store = None;
    }

    fn mark_ending(&mut self, ending: Ending) {
        for line in &mut self.lines {
            line.ending = line.ending.max(ending);
            for standing in line.standings.values_mut() {
                standing.ending = standing.ending.max(ending);
            }
            match ending {
                // What was lost is lost now, and what is there is there.
                Ending::Cut => line.tainted = false,
                _ => line.tainted |= line.model.suspect.is_some() || self.sync_faults,
            }
        }
    }

    fn heal(&mut self) {
        self.disk.heal();
        self.disk.set_quota(None);
        self.faulty = false;
        self.sync_faults = false;
    }

    // Operations.

    fn operate(&mut self) {
        let nth = self.rng.index(self.lines.len());
        if self.lines[nth].handle.is_none() {
            if let Err(error) = self.open_channel(nth) {
                let excused = self.faulty || self.disk.is_crashed();
                assert!(excused, "liveness: a channel does not open: {error}");
            }
            return;
        }
        match self.rng.below(100) {
            0..38 => self.append(nth),
            38..44 => self.append_blocking(nth),
            44..62 => self.run_a_job(),
            62..66 => self.drain(),
            66..74 => self.tick(),
            74..76 => self.delete(nth),
            76..78 => self.trim(nth),
            78..79 => self.purge(nth),
            79..80 => self.read_somewhere(nth),
            80..82 => self.read_on(nth),
            82..84 => self.look_when_calm(nth),
            84..90 => self.subscriber(nth),
            90..91 => self.close_and_reopen(),
            91..92 => self.stop(Ending::Kill),
            92..93 => self.stop(Ending::Cut),
            93..96 => self.plan_a_crash(),
            96..98 if self.plan.faults => self.inject(),
            98 => self.heal_aloud(),
            99 => self.remove(nth),
            _ => self.run_a_job(),
        }
        self.note();
    }

    /// Takes note of all that can be seen from outside.
    fn note(&mut self) {
        let (always, crashed) = (self.plan.always(), self.disk.is_crashed());
        for line in &mut self.lines {
            line.model.resolve(always);
            line.note_failures();
            line.standings.values_mut().for_each(|standing| standing.note(crashed));
        }
    }

    fn payload(&mut self) -> Vec<u8> {
        self.published += 1;
        let n = self.published;
        let len = self.rng.index(usize::try_from(self.plan.payload_max).unwrap() + 1);
        if self.rng.chance(1, 4) {
            let mut bytes = vec![0; len + 8];
            self.rng.fill(&mut bytes);
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            return bytes;
        }
        let fill: String = (0..len).map(|_| char::from(b'a' + self.rng.below(26) as u8)).collect();
        format!("{{\"n\":{n},\"p\":\"{fill}\"}}").into_bytes()
    }

    /// New records, and what the model will know of them.
    fn records(&mut self) -> Vec<Rec> {
        let count = 1 + self.rng.below(self.plan.records_max);
        let mut recs = Vec::new();
        for _ in 0..count {
            let subject = match self.rng.chance(1, 5) {
                true => "",
                false => self.rng.pick(&self.plan.subjects).copied().unwrap_or(""),
            };
            self.now += i64::try_from(self.rng.below(1_000_000)).unwrap();
            recs.push(Rec {
                seq: 0,
                subject,
                time: self.now,
                payload: self.payload(),
                state: State::Waiting,
                ticket: None,
                firm: Firm { durable: false, tainted: false },
                gone: None,
            });
        }
        recs
    }

    fn append(&mut self, nth: usize) {
        let mut recs = self.records();
        let channel = self.lines[nth].handle.clone().expect("checked");
        let appended = channel.append(&new_records(&recs)).expect("small and open");
        let (first, count) = (appended.first.get(), recs.len());
        self.say(format_args!("{}: append {count} as {first}", channel.name()));
        self.lines[nth].appended(&mut recs, first, &Some(appended.ticket));
    }

    /// Publishes until it is known what became of it, as a lone publisher does.
    fn append_blocking(&mut self, nth: usize) {
        // One that finds the file busy would wait for a job that only this thread can run.
        let Some(first) = self.probe(nth) else { return };
        let mut recs = self.records();
        let channel = self.lines[nth].handle.clone().expect("checked");
        let result = channel.append_blocking(&new_records(&recs));
        self.say(format_args!(
            "{}: append {} blocking as {first}: {}",
            channel.name(),
            recs.len(),
            result.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned())
        ));
        match result {
            Ok(appended) => {
                let first = appended.first.get();
                self.lines[nth].appended(&mut recs, first, &Some(appended.ticket));
            }
            Err(PublishError::Commit(_)) => {
                recs.iter_mut().for_each(|rec| rec.state = State::Failed);
                self.lines[nth].appended(&mut recs, first, &None);
            }
            Err(error) => panic!("small and open, but: {error}"),
        }
    }

    /// Publishes one message and runs all jobs: then the file is idle. The next sequence, if it was
    /// stored.
    fn probe(&mut self, nth: usize) -> Option<u64> {
        let mut recs = self.records();
        recs.truncate(1);
        let channel = self.lines[nth].handle.clone().expect("checked");
        let appended = channel.append(&new_records(&recs)).expect("small and open");
        let first = appended.first.get();
        self.say(format_args!("{}: probe as {first}", channel.name()));
        self.lines[nth].appended(&mut recs, first, &Some(appended.ticket.clone()));
        self.drain();
        self.note();
        let result = appended.ticket.result();
        assert!(
            result.is_some() || self.disk.is_crashed(),
            "liveness: nobody works on {}, and a publisher waits",
            channel.name()
        );
        (matches!(result, Some(Ok(()))) && !self.disk.is_crashed()).then_some(first + 1)
    }

    fn run_a_job(&mut self) {
        let waiting = self.queue.len();
        if waiting == 0 {
            return;
        }
        let job = self.queue.take(self.rng.index(waiting));
        let (work, name) = Work::of(&job);
        self.say(format_args!("run {name}"));
        let Work::Sync { channel } = work else {
            job.run();
            self.note();
            return;
        };
        self.note();
        let at = self.lines.iter().position(|line| line.name.as_str() == channel).unwrap();
        let before = self.lines[at].model.acked();
        job.run();
        self.note();
        let line = &mut self.lines[at];
        if !self.disk.is_crashed() && line.model.suspect.is_none() && line.handle.is_some() {
            line.model.firm_up(&before);
        }
    }

    fn drain(&mut self) {
        for _ in 0..1_000 {
            if self.queue.len() == 0 || self.disk.is_crashed() {
                return;
            }
            self.run_a_job();
        }
        panic!("liveness: jobs beget jobs without end");
    }

    fn tick(&mut self) {
        let millis = match self.rng.below(10) {
            0..5 => self.rng.below(100),
            5..8 => 100 + self.rng.below(900),
            8 => 1_000 + self.rng.below(5_000),
            _ => 30_000 + self.rng.below(20_000),
        };
        self.pass_time(millis);
    }

    fn pass_time(&mut self, millis: u64) {
        self.now += i64::try_from(millis).unwrap() * 1_000_000;
        self.ticked = self.ticked.max(self.now);
        self.say(format_args!("tick, {millis} ms later"));
        for line in &mut self.lines {
            let known = line.standings.values().filter(|standing| standing.known);
            // Of those whose making was interrupted, any may be there.
            let any = line.standings.values().map(Standing::highest).max().unwrap_or(0);
            let consumed = known.map(Standing::highest).min().unwrap_or(any);
            line.consumed = line.consumed.max(consumed);
        }
        let store = self.store.clone().expect("open");
        store.tick(Timestamp(self.now));
        self.note_failed_positions();
    }

    /// A flush may have been tried and failed without a word.
    fn note_failed_positions(&mut self) {
        for standing in self.lines.iter_mut().flat_map(|line| line.standings.values_mut()) {
            standing.note(false);
            if standing.file.as_ref().is_some_and(|file| file.seq() != file.written_seq()) {
                standing.failed();
            }
        }
    }

    /// Waits until nobody writes; closing would wait for a job that only this thread can run. Whether
    /// the machine still runs.
    fn calm(&mut self) -> bool {
        for nth in 0..self.lines.len() {
            if self.lines[nth].handle.is_some() {
                self.probe(nth);
            }
        }
        !self.disk.is_crashed()
    }

    fn close_and_reopen(&mut self) {
        if !self.calm() {
            return;
        }
        let store = self.store.clone().expect("open");
        let result = store.close();
        self.say(format_args!("close: {result:?}"));
        self.note();
        if self.disk.is_crashed() {
            return;
        }
        assert!(result.is_ok() || self.faulty, "liveness: closing fails without a fault");
        drop(store);
        let clean = result.is_ok() && self.lines.iter().all(|line| line.model.suspect.is_none());
        let known: Vec<_> = self.lines.iter().map(|line| line.model.acked()).collect();
        self.close_handles(false);
        if clean {
            for (line, known) in self.lines.iter_mut().zip(&known) {
                line.model.firm_up(known);
            }
        }
        // What was closed in order survives the power as well.
        match self.rng.below(3) {
            0 => self.end(Ending::Cut),
            _ if clean => {
                self.disk.kill();
                self.mark_ending(Ending::Clean);
                self.heal();
            }
            _ => self.end_running(Ending::Kill),
        }
        self.open();
    }

    fn stop(&mut self, ending: Ending) {
        if !self.plan.crashes {
            return;
        }
        self.note();
        self.close_handles(false);
        self.end_running(ending);
        self.open();
    }

    /// Ends a process that was not stopped by the disk.
    fn end_running(&mut self, ending: Ending) {
        self.disk.crash();
        self.end(ending);
    }

    fn plan_a_crash(&mut self) {
        if self.plan.crashes {
            let step = self.disk.steps() + 1 + self.rng.below(30);
            self.say(format_args!("crash planned at step {step}"));
            self.disk.crash_at(step);
        }
    }

    fn inject(&mut self) {
        self.faulty = true;
        if self.rng.chance(1, 4) {
            let taken: usize = self
                .disk
                .files()
                .iter()
                .filter_map(|it| self.disk.bytes(it))
                .map(|b| b.len())
                .sum();
            let quota = taken as u64 + self.rng.below(600);
            self.say(format_args!("disk is full at {quota} bytes"));
            self.disk.set_quota(Some(quota));
            return;
        }
        let ops = [
            Op::Write,
            Op::Write,
            Op::Sync,
            Op::Sync,
            Op::Sync,
            Op::SyncDir,
            Op::Create,
            Op::Rename,
            Op::RemoveFile,
            Op::SetLen,
            Op::Read,
            Op::Open,
            Op::List,
        ];
        let op = ops[self.rng.index(ops.len())];
        let mut fault = Fault::on(op).nth(1 + self.rng.below(4)).times(1 + self.rng.below(3));
        if self.rng.coin() {
            fault = fault.half_way();
        }
        if self.rng.chance(1, 4) {
            fault = fault.full();
        }
        fault = fault.losing(match self.rng.below(3) {
            0 => Loss::Everything,
            1 => Loss::Nothing,
            _ => Loss::Chance,
        });
        self.sync_faults |= op == Op::Sync;
        self.say(format_args!("inject {fault:?}"));
        self.disk.inject(fault);
    }

    fn heal_aloud(&mut self) {
        self.say(format_args!("heal"));
        self.heal();
    }

    fn remove(&mut self, nth: usize) {
        if !self.rng.chance(1, 3) || !self.calm() {
            return;
        }
        let store = self.store.clone().expect("open");
        let line = &mut self.lines[nth];
        line.let_go();
        line.standings.values_mut().for_each(|standing| standing.give_up(false));
        let result = store.remove_channel(&line.name, Timestamp(self.now));
        line.model.resolve(self.plan.always());
        let name = line.name.clone();
        self.say(format_args!("{name}: remove: {result:?}"));
        let line = &mut self.lines[nth];
        match result {
            Ok(()) => line.begin_anew(),
            Err(error) => {
                let excused = self.faulty || self.disk.is_crashed();
                assert!(excused, "liveness: removing fails without a fault: {error}");
                line.removing = true;
                line.model.give_up();
                line.ending = line.ending.max(Ending::Kill);
                if !self.disk.is_crashed() {
                    self.close_handles(false);
                    self.end_running(Ending::Kill);
                    self.open();
                }
            }
        }
    }

    // The end.

    /// Faults end, and all is well again without reopening; then the last look.
    fn finish(&mut self) {
        self.say(format_args!("faults end"));
        self.heal();
        self.disk.crash_at(u64::MAX);
        for nth in 0..self.lines.len() {
            if self.lines[nth].handle.is_none() {
                self.open_channel(nth).unwrap_or_else(|error| panic!("liveness: {error}"));
            }
            // Promise: when faults end, publishing goes on, at the latest with the second try.
            let well = self.probe(nth).is_some() || self.probe(nth).is_some();
            assert!(well, "liveness: nothing can be published though nothing fails any more");
            self.look_when_calm(nth);
        }
        let store = self.store.clone().expect("open");
        store.close().unwrap_or_else(|error| panic!("liveness: closing fails: {error}"));
        drop(store);
        self.note();
        let known: Vec<_> = self.lines.iter().map(|line| line.model.acked()).collect();
        self.close_handles(false);
        for (line, known) in self.lines.iter_mut().zip(&known) {
            line.model.firm_up(known);
        }
        self.plan.crashes = false;
        self.plan.faults = false;
        self.end_running(Ending::Cut);
        self.open();
        for nth in 0..self.lines.len() {
            self.check_indexes(nth);
        }
    }
}

impl Line {
    fn let_go(&mut self) {
        self.handle = None;
        self.reader = None;
    }

    /// The channel was removed: nothing of it may come back.
    fn begin_anew(&mut self) {
        self.model = Model::default();
        self.consumed = 0;
        self.exists = false;
        self.let_go();
        self.ending = Ending::Clean;
        self.tainted = false;
        self.standings.clear();
    }

    fn appended(&mut self, recs: &mut Vec<Rec>, first: u64, ticket: &Option<Ticket>) {
        let alive = |rec: &&Rec| rec.state == State::Acked && rec.seq >= first;
        let taken = self.model.recs.iter().find(alive);
        assert!(
            taken.is_none() && !self.model.voids.contains(&first),
            "order: sequence {first} is given out, and {:?} was acknowledged",
            taken.map(|rec| rec.seq)
        );
        for (seq, mut rec) in (first..).zip(recs.drain(..)) {
            rec.seq = seq;
            rec.ticket.clone_from(ticket);
            self.model.append(rec);
        }
    }

    /// Takes note of failures that make files suspect, and of rolls.
    fn note_failures(&mut self) {
        let Some(channel) = &self.handle else { return };
        let stats = channel.stats();
        let failures = stats.sync_failures + stats.write_failures;
        if failures > self.model.counters.failures {
            self.model.suspect = Some(self.model.recs.len());
        }
        self.model.counters.failures = failures;
        self.model.counters.rolled = stats.rolled;
    }
}

fn new_records(recs: &[Rec]) -> Vec<NewRecord<'_>> {
    recs.iter()
        .map(|rec| NewRecord {
            time: Timestamp(rec.time),
            subject: rec.subject,
            payload: &rec.payload,
            ..NewRecord::default()
        })
        .collect()
}

fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").unwrap();
        source = cause.source();
    }
    text
}
