//! Replies as a client reads them: whether bytes are one whole value of RESP2 or RESP3.

/// The rest of `reply` behind its first value. `None` when that is no value.
pub fn value(reply: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = reply.split_first()?;
    match kind {
        b'+' | b'-' => line(rest).map(|(_, rest)| rest),
        b':' => {
            let (text, rest) = line(rest)?;
            std::str::from_utf8(text).ok()?.parse::<i64>().ok()?;
            Some(rest)
        }
        b',' => {
            let (text, rest) = line(rest)?;
            std::str::from_utf8(text).ok()?.parse::<f64>().ok()?;
            Some(rest)
        }
        b'#' => rest.strip_prefix(b"t\r\n").or_else(|| rest.strip_prefix(b"f\r\n")),
        b'_' => rest.strip_prefix(b"\r\n"),
        b'$' | b'=' => match length(rest)? {
            (-1, rest) => Some(rest),
            (len, rest) => {
                rest.split_at_checked(usize::try_from(len).ok()?)?.1.strip_prefix(b"\r\n")
            }
        },
        b'*' | b'~' | b'>' => match length(rest)? {
            (-1, rest) => Some(rest),
            (len, rest) => values(rest, len),
        },
        b'%' => {
            let (pairs, rest) = length(rest)?;
            values(rest, pairs.checked_mul(2)?)
        }
        _ => None,
    }
}

fn values(mut rest: &[u8], count: i64) -> Option<&[u8]> {
    for _ in 0..u64::try_from(count).ok()? {
        rest = value(rest)?;
    }
    Some(rest)
}

fn length(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest) = line(bytes)?;
    Some((std::str::from_utf8(text).ok()?.parse().ok()?, rest))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let text = &bytes[..end];
    (!text.contains(&b'\n')).then_some((text, &bytes[end + 2..]))
}
