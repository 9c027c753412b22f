//! What every [`Disk`] answers alike, asked of a fresh and empty one.
//!
//! A disk's own tests run [`QUESTIONS`] one by one, each on a new disk:
//!
//! ```
//! use pubsub_sim::{SimDisk, conformance};
//!
//! for question in conformance::QUESTIONS {
//!     question.ask(&SimDisk::new(1));
//! }
//! ```

mod files;
mod locks;
mod names;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use pubsub_disk::{Disk, File, Open};

/// One thing that a disk must get right.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The promise, as a sentence.
    pub name: &'static str,
    ask: fn(&dyn Disk),
}

impl Question {
    /// Asks.
    ///
    /// # Panics
    /// When the disk, which must be empty, answers otherwise.
    pub fn ask(&self, disk: &dyn Disk) {
        (self.ask)(disk);
    }
}

/// Makes [`Question`]s of functions, named as they are.
macro_rules! questions {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Question { name: stringify!($name), ask: $module::$name }),*]
    };
}

/// All of them.
pub const QUESTIONS: &[Question] = questions![
    files::what_is_written_is_read,
    files::parts_are_written_behind_one_another_however_many,
    files::read_is_short_only_at_the_end,
    files::write_beyond_the_end_leaves_zeros,
    files::writing_nothing_changes_nothing,
    files::overwriting_keeps_the_rest,
    files::set_len_cuts_and_extends_with_zeros,
    files::file_opened_to_be_read_cannot_be_changed,
    files::positions_no_file_can_have_are_refused,
    files::threads_share_an_open_file,
    files::error_of_a_file_names_it_and_what_was_done,
    names::opening_finds_makes_or_refuses,
    names::directory_is_not_opened_as_a_file,
    names::list_is_sorted_and_tells_kind_and_length,
    names::list_of_what_is_no_directory_is_an_error,
    names::directories_are_made_one_at_a_time,
    names::only_empty_directories_are_removed,
    names::removed_file_is_read_by_those_who_have_it_open,
    names::rename_replaces_a_file,
    names::rename_moves_a_directory_with_all_in_it,
    names::rename_refuses_what_makes_no_sense,
    names::names_are_made_durable_where_there_is_a_directory,
    names::paths_that_are_not_plain_are_refused_everywhere,
    names::name_of_255_bytes_is_the_longest,
    names::space_makes_sense,
    names::error_of_a_name_names_it_and_what_was_done,
    locks::lock_is_held_by_one,
    locks::lock_writes_who_holds_it,
    locks::locks_on_different_files_are_independent,
    locks::lock_needs_a_plain_path_to_a_file,
];

const ROOT: &str = "";

fn create(disk: &dyn Disk, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), Open::Create).expect("the file can be made")
}

fn make_dir(disk: &dyn Disk, path: &str) {
    disk.create_dir(Path::new(path)).expect("the directory can be made");
}

fn file_with(disk: &dyn Disk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, path);
    write(&*file, bytes, 0);
    file
}

fn write(file: &dyn File, bytes: &[u8], at: u64) {
    file.write_at(&[IoSlice::new(bytes)], at).expect("the file can be written");
}

/// Everything in an open file.
fn content(file: &dyn File) -> Vec<u8> {
    let len = file.len().expect("the length is known");
    let mut buf = vec![0xaa; usize::try_from(len).expect("a short file")];
    assert_eq!(file.read_at(&mut buf, 0).expect("the file can be read"), buf.len());
    buf
}

fn content_of(disk: &dyn Disk, path: &str) -> Vec<u8> {
    content(&*disk.open(Path::new(path), Open::Read).expect("the file is there"))
}

fn names(disk: &dyn Disk, dir: &str) -> Vec<String> {
    let entries = disk.list(Path::new(dir)).expect("the directory is there");
    entries.into_iter().map(|entry| entry.name).collect()
}

/// Fails unless the answer is an error of this kind.
#[track_caller]
fn refused<T>(answer: io::Result<T>, kind: io::ErrorKind) {
    let Err(error) = answer else { unreachable!("the answer is yes, and should be {kind:?}") };
    assert_eq!(error.kind(), kind, "{error}: {:?}", std::error::Error::source(&error));
}
