//! Any bytes as a datagram: parsing must not panic, and what parses must survive encoding.

use loopcast::wire;

/// Parses `data` as it is, and again with the checksum that it ought to have, as no fuzzer guesses
/// a checksum.
pub fn run(data: &[u8]) {
    round_trip(data);
    let mut sealed = data.to_vec();
    if let Some((packet, crc)) = sealed.split_last_chunk_mut::<{ wire::TRAILER_LEN }>() {
        *crc = crc32fast::hash(packet).to_be_bytes();
        round_trip(&sealed);
    }
}

fn round_trip(datagram: &[u8]) {
    let Ok(packet) = wire::parse(datagram) else {
        return;
    };
    let mut again = Vec::new();
    packet.encode(&mut again);
    assert_eq!(wire::parse(&again), Ok(packet));
}
