//! The slots of Redis's cluster: which one a key belongs to. All of them are one group's here, so a
//! slot decides nothing; tools and cluster clients still ask for it.

/// How many slots there are.
pub const SLOT_COUNT: u16 = 16384;

/// The slot of a key: of the part between the first braces, if there is any.
pub fn key_slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let len = rest.iter().position(|byte| *byte == b'}')?;
        (len > 0).then_some(&rest[..len])
    });
    crc16(tag.unwrap_or(key)) % SLOT_COUNT
}

/// CRC-16/XMODEM, as <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>
/// asks for.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let place = (crc >> 8) as u8 ^ byte;
        crc << 8 ^ CRC16[usize::from(place)]
    })
}

/// What each byte does to the sum.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What CLUSTER KEYSLOT of redis-server tells.
    #[test]
    fn slots_are_those_of_redis() {
        let cases: [(&[u8], u16); 8] = [
            (b"", 0),
            (b"123456789", 12739),
            (b"foo", 12182),
            (b"{foo}bar", 12182),
            (b"a{foo}{bar}", 12182),
            (b"{}foo", 9500),
            (b"{foo", 13308),
            (b"foo}", 15679),
        ];
        for (key, slot) in cases {
            assert_eq!(key_slot(key), slot, "{}", key.escape_ascii());
        }
    }
}
