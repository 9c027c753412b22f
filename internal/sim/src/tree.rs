//! Names: which ones a process sees, which ones are on the platter, and what lies between.
//!
//! ```text
//!   create, rename, remove ──▶ now ◀── open, list
//!                     ╰──────▶ pending ──sync of the directory──▶ durable
//!                                      ──power cut──▶ durable      some of it, and `now` is gone
//! ```
//!
//! Which of the pending changes become durable together is for [`Pending`] to say.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use pubsub_disk::{Entry, EntryKind};

use crate::content::Content;
use crate::fate::Fates;
use crate::fault::{EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR};
use crate::pending::{Cell, Change, Pending};
use crate::{Directories, Rng};

/// A file or directory, whatever its name. Never given twice.
pub(crate) type Ino = u32;

/// The directory that holds everything.
pub(crate) const ROOT: Ino = 0;

/// All files and directories, named or not.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<Ino, Node>,
    pending: Pending,
    next: Ino,
}

#[derive(Clone, Debug)]
enum Node {
    File(FileNode),
    Dir(Dir),
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileNode {
    pub(crate) content: Content,
    /// How many have it open in this life.
    pub(crate) handles: u32,
    pub(crate) modified_nanos: i64,
    /// Whether it has a name that a process can see.
    named: bool,
}

#[derive(Clone, Debug, Default)]
struct Dir {
    now: Names,
    durable: Names,
}

type Names = BTreeMap<Arc<str>, Ino>;

impl Tree {
    pub(crate) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]);
        Self { nodes, pending: Pending::default(), next: ROOT + 1 }
    }

    // What a process sees.

    pub(crate) fn file(&self, ino: Ino) -> Option<&FileNode> {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => Some(file),
            Some(Node::Dir(_)) | None => None,
        }
    }

    pub(crate) fn file_mut(&mut self, ino: Ino) -> Option<&mut FileNode> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => Some(file),
            Some(Node::Dir(_)) | None => None,
        }
    }

    /// The file of this name.
    pub(crate) fn find_file(&self, path: &str) -> io::Result<Ino> {
        let ino = self.find(path)?;
        if self.file(ino).is_some() { Ok(ino) } else { Err(errno(EISDIR)) }
    }

    pub(crate) fn find_dir(&self, path: &str) -> io::Result<Ino> {
        let ino = self.find(path)?;
        self.dir(ino).map(|_| ino)
    }

    /// The file that has this name on the platter.
    pub(crate) fn find_durable_file(&self, path: &str) -> Option<&FileNode> {
        let mut at = ROOT;
        for name in path.split('/') {
            at = *self.dir(at).ok()?.durable.get(name)?;
        }
        self.file(at)
    }

    pub(crate) fn list(&self, dir: Ino) -> io::Result<Vec<Entry>> {
        let entries = self.dir(dir)?.now.iter().filter_map(|(name, ino)| {
            let name = name.as_ref().to_owned();
            Some(match self.nodes.get(ino)? {
                Node::Dir(_) => Entry { name, kind: EntryKind::Dir, len: 0, modified_nanos: 0 },
                Node::File(file) => Entry {
                    name,
                    kind: EntryKind::File,
                    len: file.content.cache().len() as u64,
                    modified_nanos: file.modified_nanos,
                },
            })
        });
        Ok(entries.collect())
    }

    /// Paths and files of everything that has a name now, or on the platter.
    pub(crate) fn walk(&self, durable: bool) -> Vec<(String, &FileNode)> {
        let mut files = Vec::new();
        self.walk_into(ROOT, "", durable, &mut files);
        files
    }

    fn walk_into<'a>(
        &'a self,
        dir: Ino,
        above: &str,
        durable: bool,
        files: &mut Vec<(String, &'a FileNode)>,
    ) {
        let Ok(dir) = self.dir(dir) else { return };
        for (name, &ino) in if durable { &dir.durable } else { &dir.now } {
            let path =
                if above.is_empty() { name.as_ref().to_owned() } else { format!("{above}/{name}") };
            match self.file(ino) {
                Some(file) => files.push((path, file)),
                None => self.walk_into(ino, &path, durable, files),
            }
        }
    }

    /// Bytes taken by files that have a name or are open.
    pub(crate) fn room_used(&self) -> u64 {
        let files = self.nodes.values().filter_map(|node| match node {
            Node::File(file) if file.named || file.handles > 0 => Some(file.content.room() as u64),
            Node::File(_) | Node::Dir(_) => None,
        });
        files.sum()
    }

    pub(crate) fn create_file(&mut self, path: &str) -> io::Result<Ino> {
        self.make(path, Node::File(FileNode { named: true, ..FileNode::default() }))
    }

    pub(crate) fn create_dir(&mut self, path: &str) -> io::Result<Ino> {
        self.make(path, Node::Dir(Dir::default()))
    }

    fn make(&mut self, path: &str, node: Node) -> io::Result<Ino> {
        let cell = self.cell(path)?;
        if self.at(&cell).is_some() {
            return Err(errno(EEXIST));
        }
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, node);
        self.names(cell.dir).insert(Arc::clone(&cell.name), ino);
        self.pending.push(Change::Link { cell, ino });
        Ok(ino)
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from_path, to_path) = (from, to);
        let from = self.cell(from)?;
        let ino = self.at(&from).ok_or_else(|| errno(ENOENT))?;
        let to = self.cell(to)?;
        let replaced = self.at(&to);
        if replaced == Some(ino) {
            return Ok(());
        }
        let is_dir = self.dir(ino).is_ok();
        let inside = to_path.strip_prefix(from_path).is_some_and(|rest| rest.starts_with('/'));
        if is_dir && inside {
            return Err(errno(EINVAL));
        }
        match replaced.map(|replaced| self.dir(replaced)) {
            Some(Ok(_)) if !is_dir => return Err(errno(EISDIR)),
            Some(Err(_)) if is_dir => return Err(errno(ENOTDIR)),
            Some(Ok(dir)) if !dir.now.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Some(_) | None => (),
        }
        if let Some(file) = replaced.and_then(|replaced| self.file_mut(replaced)) {
            file.named = false;
        }
        self.names(from.dir).remove(&from.name);
        self.names(to.dir).insert(Arc::clone(&to.name), ino);
        self.pending.push(Change::Move { from, to, ino });
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, path: &str) -> io::Result<()> {
        let ino = self.find_file(path)?;
        if let Some(file) = self.file_mut(ino) {
            file.named = false;
        }
        self.unlink(path)
    }

    pub(crate) fn remove_dir(&mut self, path: &str) -> io::Result<()> {
        if !self.dir(self.find(path)?)?.now.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.unlink(path)
    }

    fn unlink(&mut self, path: &str) -> io::Result<()> {
        let cell = self.cell(path)?;
        self.names(cell.dir).remove(&cell.name);
        self.pending.push(Change::Unlink { cell });
        Ok(())
    }

    // What becomes durable.

    /// Makes the names in a directory durable.
    pub(crate) fn sync_dir(&mut self, dir: Ino, model: Directories) {
        let changes = self.pending.take_dir(dir, model);
        self.commit(changes);
    }

    /// Makes the first few of them durable and leaves the rest on its way: the sync failed, or the
    /// power went.
    pub(crate) fn sync_dir_some(&mut self, dir: Ino, model: Directories, rng: &mut Rng) {
        let changes = self.pending.take_some_of_dir(dir, model, rng);
        self.commit(changes);
    }

    /// What the sync of a file does to names.
    pub(crate) fn sync_file(&mut self, ino: Ino, model: Directories) {
        let changes = self.pending.take_file(ino, model);
        self.commit(changes);
    }

    /// Applies changes to the platter.
    fn commit(&mut self, changes: Vec<Change>) {
        let forgets = changes.iter().any(|change| !matches!(change, Change::Link { .. }));
        changes.into_iter().for_each(|change| self.apply(change));
        if forgets {
            self.forget_unreachable();
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Link { cell, ino } => self.put_durable(cell, ino),
            Change::Unlink { cell } => self.remove_durable(&cell),
            // Of two directories, each moved into the other, a file system that kept both moves and
            // lost what lay between would lose both. None does.
            Change::Move { to, ino, .. } if self.holds(ino, to.dir) => (),
            Change::Move { from, to, ino } => {
                self.remove_durable(&from);
                self.put_durable(to, ino);
            }
        }
    }

    fn put_durable(&mut self, cell: Cell, ino: Ino) {
        if let Some(Node::Dir(dir)) = self.nodes.get_mut(&cell.dir) {
            dir.durable.insert(cell.name, ino);
        }
    }

    fn remove_durable(&mut self, cell: &Cell) {
        if let Some(Node::Dir(dir)) = self.nodes.get_mut(&cell.dir) {
            dir.durable.remove(&cell.name);
        }
    }

    /// Whether `inner` is `outer` or beneath it on the platter.
    fn holds(&self, outer: Ino, inner: Ino) -> bool {
        outer == inner
            || self
                .dir(outer)
                .is_ok_and(|dir| dir.durable.values().any(|&below| self.holds(below, inner)))
    }

    /// The power went: decides what becomes of all that is pending, and forgets everything else.
    pub(crate) fn settle(&mut self, fates: &mut Fates, model: Directories, garbage: bool) {
        // Of removed files, too: their blocks are the likeliest to be handed out again.
        let files = self.nodes.values().filter_map(|node| match node {
            Node::File(file) => Some(file.content.durable().clone()),
            Node::Dir(_) => None,
        });
        let stale: Option<Vec<_>> = garbage.then(|| files.collect());

        let survivors = self.pending.take_survivors(model, fates);
        self.commit(survivors);

        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.now = dir.durable.clone(),
                Node::File(file) => {
                    file.content.settle(fates, stale.as_deref());
                    file.handles = 0;
                }
            }
        }
        self.forget_unreachable();
        self.nodes.values_mut().for_each(|node| match node {
            // What is still here has a name.
            Node::File(file) => file.named = true,
            Node::Dir(_) => (),
        });
    }

    /// The process went, and what it had open.
    pub(crate) fn close_all(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.handles = 0,
                Node::Dir(_) => (),
            }
        }
        self.forget_unreachable();
    }

    /// Drops what no name leads to, nor can lead to after a power cut, and nobody has open.
    fn forget_unreachable(&mut self) {
        let open = self.nodes.iter().filter_map(|(&ino, node)| match node {
            Node::File(file) if file.handles > 0 => Some(ino),
            Node::File(_) | Node::Dir(_) => None,
        });
        let mut to_visit: Vec<Ino> = open.collect();
        to_visit.push(ROOT);
        to_visit.extend(self.pending.inos());
        let mut reached = BTreeSet::new();
        while let Some(ino) = to_visit.pop() {
            if reached.insert(ino)
                && let Ok(dir) = self.dir(ino)
            {
                to_visit.extend(dir.now.values().chain(dir.durable.values()));
            }
        }
        self.nodes.retain(|ino, _| reached.contains(ino));
    }

    // Damage.

    /// Puts a file there, with the directories above it, as if it had always been.
    pub(crate) fn plant(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut above = ROOT;
        let mut rest = path;
        while let Some((name, behind)) = rest.split_once('/') {
            above = match self.dir(above)?.now.get(name) {
                Some(&ino) => ino,
                None => self.plant_node(above, name, Node::Dir(Dir::default())),
            };
            rest = behind;
        }
        if self.dir(above)?.now.contains_key(rest) {
            return Err(errno(EEXIST));
        }
        let content = Content::planted(bytes);
        let file = FileNode { content, named: true, ..FileNode::default() };
        self.plant_node(above, rest, Node::File(file));
        Ok(())
    }

    fn plant_node(&mut self, dir: Ino, name: &str, node: Node) -> Ino {
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, node);
        let cell = Cell { dir, name: name.into() };
        self.names(dir).insert(Arc::clone(&cell.name), ino);
        self.put_durable(cell, ino);
        ino
    }

    /// Takes a file away, on the platter too.
    pub(crate) fn delete(&mut self, path: &str) -> io::Result<()> {
        self.remove_file(path)?;
        let changes = self.pending.take_last();
        self.commit(changes);
        Ok(())
    }

    // Finding.

    fn find(&self, path: &str) -> io::Result<Ino> {
        if path.is_empty() {
            return Ok(ROOT);
        }
        path.split('/').try_fold(ROOT, |dir, name| self.step(dir, name))
    }

    fn step(&self, dir: Ino, name: &str) -> io::Result<Ino> {
        let names = &self.dir(dir)?.now;
        check_name(name)?;
        names.get(name).copied().ok_or_else(|| errno(ENOENT))
    }

    /// The place of a path's last name; those above exist.
    fn cell(&self, path: &str) -> io::Result<Cell> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.find(above)?;
        self.dir(dir)?;
        check_name(name)?;
        Ok(Cell { dir, name: name.into() })
    }

    fn at(&self, cell: &Cell) -> Option<Ino> {
        self.dir(cell.dir).ok()?.now.get(&cell.name).copied()
    }

    fn dir(&self, ino: Ino) -> io::Result<&Dir> {
        match self.nodes.get(&ino) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(errno(ENOTDIR)),
            None => Err(errno(ENOENT)),
        }
    }

    fn names(&mut self, dir: Ino) -> &mut Names {
        match self.nodes.get_mut(&dir) {
            Some(Node::Dir(dir)) => &mut dir.now,
            Some(Node::File(_)) | None => unreachable!("cells are made of directories"),
        }
    }
}

pub(crate) fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// Longest name in a directory, in bytes, as the usual file systems have it (`NAME_MAX`).
const NAME_MAX_BYTES: usize = 255;

fn check_name(name: &str) -> io::Result<()> {
    if name.len() > NAME_MAX_BYTES {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(())
}
