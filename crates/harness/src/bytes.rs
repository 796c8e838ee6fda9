//! The input of a fuzz target, read as values; zeros once it is used up.

/// What is left of the input.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// The whole input.
    pub fn new(data: &'a [u8]) -> Bytes<'a> {
        Bytes(data)
    }

    /// Whether it is used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes, fewer at the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Mostly small, at times anything.
    pub fn u64(&mut self) -> u64 {
        match self.u8() {
            small @ 0..=199 => u64::from(small),
            200..=229 => u64::from(self.u16()),
            230..=250 => u64::from(u32::from_be_bytes(self.array())),
            251..=254 => u64::from_be_bytes(self.array()),
            255 => u64::MAX,
        }
    }

    /// As [`Bytes::u64`], at most the largest of 32 bits.
    pub fn u32(&mut self) -> u32 {
        u32::try_from(self.u64()).unwrap_or(u32::MAX)
    }

    /// Less than `bound`, which is at most 256.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.u8()) % bound
    }

    /// True about once in `n`.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.u8().is_multiple_of(n)
    }

    /// A step of time: from a microsecond to a minute.
    pub fn nanos(&mut self) -> u64 {
        match self.below(8) {
            0..=2 => u64::from(self.u8()) * 20_000,
            3..=5 => u64::from(self.u8()) * 1_000_000,
            6 => u64::from(self.u8()) * 20_000_000,
            _ => u64::from(self.u8()) * 250_000_000,
        }
    }
}

/// Entries of a NAK or confirm, in order as they must be.
pub fn needs(input: &mut Bytes<'_>) -> Vec<loopcast::wire::Need> {
    use loopcast::wire::Need;
    let mut entries = Vec::new();
    let mut from = 0u64;
    for _ in 0..input.below(6) {
        let block = from.saturating_add(input.u64());
        let Ok(first) = u32::try_from(block) else {
            break;
        };
        let need = match input.below(3) {
            0 => {
                let room = (1 << 32) - u64::from(first);
                let count = u64::from(input.u32()).clamp(1, room.min(u64::from(u32::MAX)));
                Need::Blocks {
                    first,
                    count: count as u32,
                }
            }
            1 => Need::Count {
                block: first,
                lacking: input.u16().max(1),
            },
            _ => {
                let start = input.u16() % 1_200;
                let step = usize::from(input.u8() % 9 + 1);
                let len = u16::from(input.u8());
                let missing = (start..=start + len).step_by(step).collect();
                Need::Symbols {
                    block: first,
                    missing,
                }
            }
        };
        from = match &need {
            Need::Blocks { first, count } => u64::from(*first) + u64::from(*count),
            _ => block + 1,
        };
        entries.push(need);
    }
    entries
}

/// With the checksum that it ought to have, as no fuzzer guesses one.
pub fn sealed(data: &[u8]) -> Vec<u8> {
    let mut sealed = data.to_vec();
    if let Some((packet, crc)) = sealed.split_last_chunk_mut::<{ loopcast::wire::TRAILER_LEN }>() {
        *crc = crc32fast::hash(packet).to_be_bytes();
    }
    sealed
}
