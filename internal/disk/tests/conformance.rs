//! A directory of the machine means by each call what every disk means.

use pubsub_disk::FileDisk;
use pubsub_sim::conformance;

#[test]
fn directory_answers_as_every_disk_must() {
    for question in conformance::QUESTIONS {
        eprintln!("{}", question.name);
        let dir = tempfile::tempdir().unwrap();
        question.ask(&FileDisk::open(dir.path()).unwrap());
    }
}

#[test]
fn directory_answers_alike_where_the_kernel_cannot_open_beneath() {
    for question in conformance::QUESTIONS {
        eprintln!("{}", question.name);
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap().walking();
        assert!(format!("{disk:?}").contains("whole_paths: false"), "{disk:?}");
        question.ask(&disk);
    }
}
