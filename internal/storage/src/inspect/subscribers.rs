//! Positions of subscribers.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use pubsub_disk::EntryKind;
use pubsub_types::ChannelName;

use super::{Diagnosis, Inspector, Problem};
use crate::positions::{self, Position};
use crate::store::dir_name;

impl Inspector<'_> {
    /// Looks at the positions on a channel whose last sequence is `last`; how many there are.
    pub(super) fn subscribers(&mut self, name: &ChannelName, last: u64) -> io::Result<u64> {
        let dir = positions::dir_of(name);
        let entries = match self.disk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other?,
        };
        let mut stems = BTreeSet::new();
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
            let copy = [".a", ".b"].iter().find_map(|suffix| entry.name.strip_suffix(suffix));
            match copy.or(Some(&entry.name)).filter(|stem| stem.ends_with(".offset")) {
                Some(_) if copy.is_none() => (),
                Some(stem) => {
                    stems.insert(stem.to_owned());
                }
                None => self.find(Diagnosis::foreign(Some(name), dir.join(&entry.name))),
            }
        }
        for stem in stems {
            self.twin(Some(name), &dir, &stem, Problem::PositionDamaged)?;
        }
        let ids = positions::list(self.disk, name)?;
        for id in &ids {
            if let Some(Position::At { seq, .. }) = positions::load(self.disk, name, id)?
                && seq > last
                && !self.live
            {
                let file = dir.join(format!("{id}.offset"));
                let mut beyond = Diagnosis::new(Problem::PositionBeyond, Some(name), file);
                beyond.text = format!("position {seq} is beyond the end of the channel, {last}");
                self.find(beyond);
            }
        }
        Ok(ids.len() as u64)
    }

    /// Notes positions of channels that are not there.
    pub(super) fn orphaned_subscribers(&mut self, names: &[ChannelName]) -> io::Result<()> {
        let dir = Path::new("subscribers");
        let entries = match self.disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            if !names.iter().any(|name| dir_name(name.as_str()) == entry.name) {
                let file = dir.join(&entry.name);
                self.find(Diagnosis::new(Problem::Orphaned, None, file));
            }
        }
        Ok(())
    }
}
