//! The heads of frames.
//!
//! ```text
//!   FIN RSV1 RSV2 RSV3 opcode(4) │ MASK length(7) │ length (0, 2 or 8 bytes) │ key (0 or 4)
//! ```

use crate::ws::Fault;
use crate::ws::mask::Mask;

/// Most bytes that a head has.
pub(crate) const HEAD_MAX_BYTES: usize = 14;

/// Most bytes that a ping, pong or close carries.
pub(crate) const CONTROL_MAX_BYTES: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASK: u8 = 0x80;

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    /// Text or binary: to NATS both are bytes.
    Data,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            // Binary.
            Self::Data => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) opcode: Opcode,
    pub(crate) is_final: bool,
    pub(crate) is_compressed: bool,
    pub(crate) len: u64,
    pub(crate) mask: Option<Mask>,
}

/// What its reader agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) deflate: bool,
    pub(crate) unmasked: bool,
}

/// How many bytes the head has that begins with these, at least: all of it, from two bytes on.
pub(crate) fn head_len(bytes: &[u8]) -> usize {
    let [_, second, ..] = bytes else { return 2 };
    let length = match second & !MASK {
        127 => 8,
        126 => 2,
        _ => 0,
    };
    2 + length + if second & MASK == 0 { 0 } else { 4 }
}

/// Reads a head. What is wrong with its first two bytes is said when they are there.
pub(crate) fn parse(bytes: &[u8], agreed: Agreed) -> Result<Option<Head>, Fault> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & RSV2_AND_3 != 0 {
        return Err(Fault::ReservedBits);
    }
    let (is_final, is_compressed) = (first & FIN != 0, first & RSV1 != 0);
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 | 2 => Opcode::Data,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        other => return Err(Fault::UnknownOpcode(other)),
    };
    if opcode.is_control() {
        if usize::from(second & !MASK) > CONTROL_MAX_BYTES {
            return Err(Fault::ControlTooLong);
        }
        if !is_final {
            return Err(Fault::ControlFragmented);
        }
        if is_compressed {
            return Err(Fault::ControlCompressed);
        }
    }
    if is_compressed && !agreed.deflate {
        return Err(Fault::NotNegotiated);
    }
    let is_masked = second & MASK != 0;
    if !is_masked && !agreed.unmasked {
        return Err(Fault::NotMasked);
    }
    if bytes.len() < head_len(bytes) {
        return Ok(None);
    }
    let (len, key) = match second & !MASK {
        127 => rest.split_first_chunk().map(|(len, key)| (u64::from_be_bytes(*len), key)),
        126 => {
            rest.split_first_chunk().map(|(len, key)| (u64::from(u16::from_be_bytes(*len)), key))
        }
        len => Some((u64::from(len), rest)),
    }
    .expect("the head is whole");
    if len > i64::MAX.cast_unsigned() {
        return Err(Fault::Length);
    }
    let mask = is_masked.then(|| Mask::new(*key.first_chunk().expect("the head is whole")));
    Ok(Some(Head { opcode, is_final, is_compressed, len, mask }))
}

/// Appends the head of a frame that is the whole message, without a mask: what a server sends.
pub(crate) fn write(out: &mut Vec<u8>, opcode: Opcode, is_compressed: bool, len: usize) {
    out.push(FIN | if is_compressed { RSV1 } else { 0 } | opcode.bits());
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..126), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Agreed = Agreed { deflate: false, unmasked: false };
    const ANY: Agreed = Agreed { deflate: true, unmasked: true };

    #[test]
    fn head_that_was_written_is_read() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 40] {
            for opcode in [Opcode::Data, Opcode::Close, Opcode::Ping, Opcode::Pong] {
                if opcode.is_control() && len > CONTROL_MAX_BYTES {
                    continue;
                }
                let mut bytes = Vec::new();
                write(&mut bytes, opcode, false, len);
                assert_eq!(head_len(&bytes[..2]), bytes.len());
                for end in 0..bytes.len() {
                    assert_eq!(parse(&bytes[..end], ANY), Ok(None));
                }
                let head = Head {
                    opcode,
                    is_final: true,
                    is_compressed: false,
                    len: len as u64,
                    mask: None,
                };
                assert_eq!(parse(&bytes, ANY), Ok(Some(head)));
                assert_eq!(parse(&bytes, SERVER), Err(Fault::NotMasked));
            }
        }
    }

    #[test]
    fn head_that_says_what_nobody_may_is_refused_at_its_second_byte() {
        for (bytes, fault) in [
            ([0x92, 0x80], Fault::ReservedBits),
            ([0xa2, 0x80], Fault::ReservedBits),
            ([0x83, 0x80], Fault::UnknownOpcode(3)),
            ([0x8b, 0x80], Fault::UnknownOpcode(11)),
            ([0x82, 0x00], Fault::NotMasked),
            ([0xc2, 0x80], Fault::NotNegotiated),
            ([0x09, 0x80], Fault::ControlFragmented),
            ([0x89, 0xfe], Fault::ControlTooLong),
            ([0x88, 0xff], Fault::ControlTooLong),
        ] {
            assert_eq!(parse(&bytes, SERVER), Err(fault), "{bytes:x?}");
        }
        assert_eq!(parse(&[0xc9, 0x80], ANY), Err(Fault::ControlCompressed));
        let mut lie = vec![0x82, 0xff];
        lie.extend([0xff; 12]);
        assert_eq!(parse(&lie, SERVER), Err(Fault::Length));
    }
}
