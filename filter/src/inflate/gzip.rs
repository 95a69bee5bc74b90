//! An incremental parser of gzip framing (RFC 1952). Each member has a header of ten bytes with four optional fields, the
//! compressed data, and a trailer of checksum and length.

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Ignored header bytes: modification time, extra flags, operating system.
const IGNORED: u16 = 6;
/// CRC-32 and length.
const TRAILER: u16 = 8;

const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// The bytes are not a gzip member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotGzip;

/// The position in a sequence of members.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    /// The optional fields that are still to come.
    flags: u8,
}

#[derive(Debug)]
enum Part {
    Magic(usize),
    Flags,
    Ignored(u16),
    ExtraLength(Option<u8>),
    Extra(u16),
    Name,
    Comment,
    HeaderCrc(u16),
    Data,
    Trailer(u16),
}

// === impl Framing ===

impl Default for Framing {
    fn default() -> Self {
        Self {
            part: Part::Magic(0),
            flags: 0,
        }
    }
}

impl Framing {
    /// Whether the next byte is compressed data.
    pub(super) fn is_in_data(&self) -> bool {
        matches!(self.part, Part::Data)
    }

    /// Continues with the trailer.
    pub(super) fn end_data(&mut self) {
        self.part = Part::Trailer(TRAILER);
    }

    /// Reads one byte of a header or trailer.
    pub(super) fn feed(&mut self, byte: u8) -> Result<(), NotGzip> {
        self.part = match self.part {
            Part::Magic(at) if MAGIC.get(at) != Some(&byte) => return Err(NotGzip),
            Part::Magic(at) if at + 1 == MAGIC.len() => Part::Flags,
            Part::Magic(at) => Part::Magic(at + 1),
            Part::Flags => {
                self.flags = byte;
                Part::Ignored(IGNORED)
            }
            Part::Ignored(2..) | Part::Extra(2..) | Part::HeaderCrc(2..) | Part::Trailer(2..) => self.countdown(),
            Part::Ignored(_) => self.next_field(),
            Part::ExtraLength(None) => Part::ExtraLength(Some(byte)),
            Part::ExtraLength(Some(low)) => match u16::from_le_bytes([low, byte]) {
                0 => self.next_field(),
                length => Part::Extra(length),
            },
            Part::Name if byte != 0 => Part::Name,
            Part::Comment if byte != 0 => Part::Comment,
            Part::Extra(_) | Part::Name | Part::Comment | Part::HeaderCrc(_) => self.next_field(),
            Part::Trailer(_) => Part::Magic(0),
            Part::Data => Part::Data,
        };
        Ok(())
    }

    fn countdown(&self) -> Part {
        match self.part {
            Part::Ignored(left) => Part::Ignored(left - 1),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::HeaderCrc(left) => Part::HeaderCrc(left - 1),
            Part::Trailer(left) => Part::Trailer(left - 1),
            _ => Part::Data,
        }
    }

    /// The optional fields have this order.
    fn next_field(&mut self) -> Part {
        let fields = [
            (HAS_EXTRA, Part::ExtraLength(None)),
            (HAS_NAME, Part::Name),
            (HAS_COMMENT, Part::Comment),
            (HAS_CRC, Part::HeaderCrc(2)),
        ];
        for (flag, part) in fields {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                return part;
            }
        }
        Part::Data
    }
}
