//! A damaged index is found out wherever it is damaged: an answer is right, or it is an error that says
//! where the file is not.

use proptest::prelude::*;
use pubsub_types::{Filter, LogIndex};

use super::blocks::Source;
use super::format::{CRC_BYTES, HEADER_BYTES, Header, Section, checksum};
use super::model::{Model, OWN, models, seq};
use super::sealed_tests::{Answer, DIGEST, MemFile, ask_all, id, open, seal, segment};
use super::subjects::Directory;
use super::{
    IndexError, SealedIndex, SealedIndexBuilder, SegmentDigest, SegmentId, SlotSet, Wanted, points,
};

/// Opens `bytes`, which may be damaged, and fails if an answer is neither right nor an error that
/// asks for a rebuild. Whether all were right.
fn right_or_damaged(bytes: &[u8], model: &Model, deletes: &SlotSet, right: &[Answer]) -> bool {
    let index = match open(bytes, model.first_seq).1 {
        Ok(index) => index,
        Err(error) => {
            assert!(error.wants_rebuild(), "{error:?}");
            return false;
        }
    };
    let mut all = true;
    for (answer, right) in ask_all(&index, model, deletes).into_iter().zip(right) {
        match answer {
            Ok(answer) => assert_eq!(&answer, right.as_ref().unwrap()),
            Err(IndexError::Damaged { at, .. }) => {
                assert!(at <= bytes.len() as u64);
                all = false;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn flipped_bytes_are_damage_and_never_a_wrong_answer(
        model in models(800),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
    ) {
        let bytes = seal(&model.active());
        let deletes = model.deletes();
        let right = ask_all(&open(&bytes, model.first_seq).1.unwrap(), &model, &deletes);
        for (at, flip) in flips {
            let mut damaged = bytes.clone();
            damaged[at.index(bytes.len())] ^= flip;
            right_or_damaged(&damaged, &model, &deletes, &right);
        }
    }

    #[test]
    fn a_cut_or_longer_file_does_not_open(model in models(300), cut in any::<prop::sample::Index>()) {
        let bytes = seal(&model.active());
        let cut = cut.index(bytes.len());
        for bytes in [&bytes[..cut], &[&bytes[..], &bytes[..=cut]].concat()] {
            let opened = open(bytes, model.first_seq).1;
            prop_assert!(matches!(opened, Err(IndexError::Damaged { .. })), "{:?}", opened);
        }
    }

    #[test]
    fn bytes_made_to_pass_the_checksums_do_no_harm(
        model in models(800),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = seal(&model.active());
        let places = blocks(&bytes);
        prop_assume!(!places.is_empty());
        for (block, at, value) in flips {
            let (section, place, len) = places[block.index(places.len())];
            forge(&mut bytes, section, place, len, |payload| {
                let at = at.index(payload.len());
                payload[at] = value;
            });
        }
        // Any answer will do, as long as there is one.
        let index = open(&bytes, model.first_seq).1.unwrap();
        for answer in ask_all(&index, &model, &model.deletes()) {
            if let Err(error) = answer {
                prop_assert!(matches!(error, IndexError::Damaged { .. }), "{error:?}");
            }
        }
    }
}

/// Every block of a sound file: its section, its place there, its length with the checksum.
fn blocks(bytes: &[u8]) -> Vec<(Section, u64, usize)> {
    let source = Source::open(MemFile::of(bytes)).unwrap();
    let header = source.header();
    let mut blocks = Vec::new();
    for (section, page) in
        [(Section::Points, points::PAGE_BYTES + CRC_BYTES), (Section::Postings, 4096)]
    {
        let len = usize::try_from(header.len_of(section)).unwrap();
        let pages = (0..len).step_by(page).map(|at| (section, at as u64, page.min(len - at)));
        blocks.extend(pages);
    }
    let directory = source.read_all(Section::SubjectDirectory).unwrap();
    if let Some(directory) = Directory::decode(&directory, 4, header.len_of(Section::Subjects)) {
        let places = (0..).map_while(|block| directory.place(block));
        let block = |(at, len)| (Section::Subjects, at, usize::try_from(len).unwrap());
        blocks.extend(places.map(block));
    }
    let whole = [
        Section::PointDirectory,
        Section::SubjectDirectory,
        Section::Filter,
        Section::Missing,
        Section::Deletes,
    ];
    for section in whole.into_iter().filter(|&section| header.len_of(section) > 0) {
        blocks.push((section, 0, usize::try_from(header.len_of(section)).unwrap()));
    }
    blocks
}

/// Changes a block and makes its checksum right again.
fn forge(
    bytes: &mut [u8],
    section: Section,
    place: u64,
    len: usize,
    change: impl FnOnce(&mut [u8]),
) {
    let header = Header::decode(bytes.first_chunk().unwrap(), bytes.len() as u64).unwrap();
    let start = usize::try_from(header.start_of(section) + place).unwrap();
    let (payload, crc) = bytes[start..start + len].split_at_mut(len - CRC_BYTES);
    change(payload);
    crc.copy_from_slice(&checksum(header.seed(), section, place, payload).to_le_bytes());
}

#[test]
fn every_single_byte_of_the_file_is_checked() {
    let mut model = segment(300, |n| format!("orders.{}.{}", n % 7, n % 61));
    model.deleted.extend([5, 6, 200]);
    model.messages.remove(&90);
    let (bytes, deletes) = (seal(&model.active()), model.deletes());
    let right = ask_all(&open(&bytes, 1).1.unwrap(), &model, &deletes);
    assert!(right_or_damaged(&bytes, &model, &deletes, &right));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(!right_or_damaged(&damaged, &model, &deletes, &right), "byte {at}");
    }
}

#[test]
fn blocks_of_another_place_or_index_are_damage() {
    let model = segment(40_000, |n| format!("orders.{n}"));
    let bytes = seal(&model.active());
    let header = Header::decode(bytes.first_chunk().unwrap(), bytes.len() as u64).unwrap();
    let start = usize::try_from(header.start_of(Section::Points)).unwrap();
    let page = points::PAGE_BYTES + CRC_BYTES;
    let mut moved = bytes.clone();
    moved.copy_within(start..start + page, start + page);
    // 255 points of 64 messages are before that page.
    let found = open(&moved, 1).1.unwrap().locate_block(seq(255 * 64 + 1));
    assert!(matches!(found, Err(IndexError::Damaged { what: "points", .. })), "{found:?}");

    let file = MemFile::default();
    let older = SegmentDigest { hash: 13, ..DIGEST };
    SealedIndexBuilder::new(&model.active(), id(1), older).write(&file).unwrap();
    let mut mixed = file.bytes();
    mixed[HEADER_BYTES..].copy_from_slice(&bytes[HEADER_BYTES..]);
    let found = open(&mixed, 1).1.unwrap().last("orders.7", &SlotSet::new());
    assert!(matches!(found, Err(IndexError::Damaged { what: "filter", .. })), "{found:?}");
}

#[test]
fn the_index_of_another_segment_or_version_is_refused() {
    let bytes = seal(&segment(3, |n| n.to_string()).active());
    let other = SegmentId { first_index: LogIndex(78), ..id(1) };
    let opened = SealedIndex::open(MemFile::of(&bytes), other);
    assert!(
        matches!(opened, Err(IndexError::Foreign { first_index: LogIndex(77), .. })),
        "{opened:?}"
    );

    let mut newer = bytes;
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..HEADER_BYTES - CRC_BYTES]);
    newer[HEADER_BYTES - CRC_BYTES..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let opened = open(&newer, 1).1;
    assert!(matches!(opened, Err(IndexError::Version { found: 2 })), "{opened:?}");
}

#[test]
fn a_message_beyond_the_segment_is_damage() {
    let mut bytes = seal(&segment(1, |_| "a".into()).active());
    let len = blocks(&bytes).into_iter().find(|it| it.0 == Section::Subjects).unwrap().2;
    forge(&mut bytes, Section::Subjects, 0, len, |block| {
        assert_eq!(block, [0, 1, b'a', 0]);
        block[3] = 2;
    });
    let found = open(&bytes, 1).1.unwrap().last("a", &SlotSet::new());
    assert!(matches!(found, Err(IndexError::Damaged { what: "subjects", .. })), "{found:?}");
}

#[test]
fn a_list_that_does_not_go_on_where_it_left_off_is_damage() {
    let model =
        segment(30_000, |n| if n % 3 == 0 { "busy".into() } else { format!("s.{}", n % 2) });
    let mut bytes = seal(&model.active());
    forge(&mut bytes, Section::Postings, 4096, 4096, |page| page[0] ^= 1);
    let filter = Filter::new("busy").unwrap();
    let found = open(&bytes, 1).1.unwrap().matches(Wanted::new(&filter, OWN));
    assert!(matches!(found, Err(IndexError::Damaged { what: "postings", .. })), "{found:?}");
}
