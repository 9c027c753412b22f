//! A simulated disk means by each call what a real one means.

use pubsub_sim::{Directories, SimDisk, conformance};

#[test]
fn simulated_disk_answers_as_every_disk_must() {
    for question in conformance::QUESTIONS {
        for directories in [Directories::Strict, Directories::Ext4Like] {
            eprintln!("{} ({directories:?})", question.name);
            let disk = SimDisk::new(1);
            disk.set_directories(directories);
            question.ask(&disk);
        }
    }
}
