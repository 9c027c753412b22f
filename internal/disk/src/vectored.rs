//! Writing all of many parts: one call when all goes well, and no allocation when it does not.

use std::io::{self, IoSlice};

/// Most parts one call takes (`IOV_MAX` of Linux and the BSDs; more is refused with `EINVAL`).
pub(crate) const PARTS_MAX: usize = 1024;

/// Calls `write` until all of `parts` lie behind one another from `at` on.
///
/// # Errors
/// The first error that is not `Interrupted`; `WriteZero` when `write` takes nothing.
pub(crate) fn write_all(
    parts: &[IoSlice<'_>],
    at: u64,
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let mut rest = parts;
    let mut at = at;
    // Bytes at the start of `rest` that are written already.
    let mut done = 0;
    loop {
        while let Some(first) = rest.first()
            && first.len() <= done
        {
            done -= first.len();
            rest = &rest[1..];
        }
        let Some(first) = rest.first() else { return Ok(()) };
        let wrote = if done > 0 {
            write(&[IoSlice::new(&first[done..])], at)
        } else {
            write(&rest[..rest.len().min(PARTS_MAX)], at)
        };
        match wrote {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(wrote) => {
                done += wrote;
                at += wrote as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [&[u8]; 6] = [b"", b"one", b"", b"twotwo", b"3", b""];

    /// Writes to memory, at most `limit` bytes a call.
    fn writer(
        file: &mut Vec<u8>,
        limit: usize,
        calls: &mut usize,
    ) -> impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize> {
        move |parts, at| {
            *calls += 1;
            assert!(parts.len() <= PARTS_MAX);
            assert_eq!(at, file.len() as u64, "each call goes on where the last one stopped");
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            let taken = bytes.len().min(limit);
            file.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
    }

    fn slices<'a>(parts: &[&'a [u8]]) -> Vec<IoSlice<'a>> {
        parts.iter().map(|part| IoSlice::new(part)).collect()
    }

    #[test]
    fn short_writes_are_continued_whatever_their_size() {
        for limit in 1..=11 {
            let (mut file, mut calls) = (Vec::new(), 0);
            write_all(&slices(&PARTS), 0, writer(&mut file, limit, &mut calls)).unwrap();
            assert_eq!(file, b"onetwotwo3", "at most {limit} bytes a call");
        }
    }

    #[test]
    fn parts_take_one_call_when_the_file_takes_them_all() {
        let (mut file, mut calls) = (Vec::new(), 0);
        write_all(&slices(&PARTS), 0, writer(&mut file, usize::MAX, &mut calls)).unwrap();
        assert_eq!(calls, 1);
    }

    #[test]
    fn more_parts_than_a_call_takes_are_written_in_order() {
        let bytes: Vec<u8> = (0..=250).cycle().take(PARTS_MAX * 2 + 5).collect();
        let parts: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
        let (mut file, mut calls) = (Vec::new(), 0);
        write_all(&parts, 0, writer(&mut file, usize::MAX, &mut calls)).unwrap();
        assert_eq!(file, bytes);
        assert_eq!(calls, 3);
    }

    #[test]
    fn interrupted_write_is_repeated() {
        let mut interruptions = 3;
        let mut file = Vec::new();
        write_all(&slices(&PARTS), 0, |parts, _| {
            if interruptions > 0 {
                interruptions -= 1;
                return Err(io::ErrorKind::Interrupted.into());
            }
            parts.iter().for_each(|part| file.extend_from_slice(part));
            Ok(10)
        })
        .unwrap();
        assert_eq!(file, b"onetwotwo3");
    }

    #[test]
    fn write_that_takes_nothing_is_an_error_and_not_a_loop() {
        let error = write_all(&slices(&PARTS), 0, |_, _| Ok(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn no_bytes_take_no_call() {
        write_all(&slices(&[b"", b""]), 9, |_, _| -> io::Result<usize> { unreachable!() }).unwrap();
        write_all(&[], 9, |_, _| -> io::Result<usize> { unreachable!() }).unwrap();
    }
}
