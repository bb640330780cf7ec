//! Numbers as Redis reads and writes them.

use super::error::CommandError;

/// A 64-bit signed integer in its one canonical form: no sign but `-`, no leading zero, no space.
pub fn parse_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// [`parse_integer`] with the error that most commands answer.
pub fn integer(bytes: &[u8]) -> Result<i64, CommandError> {
    parse_integer(bytes).ok_or(CommandError::NotInteger)
}

/// A double as Redis takes it: decimal, hexadecimal or infinite, with nothing before or after; not
/// NaN, and neither too large nor too small.
pub fn parse_float(bytes: &[u8]) -> Option<f64> {
    let unsigned = bytes.strip_prefix(b"-").or(bytes.strip_prefix(b"+")).unwrap_or(bytes);
    if let [b'0', b'x' | b'X', hexadecimal @ ..] = unsigned {
        let magnitude = parse_hexadecimal(hexadecimal)?;
        return Some(if bytes[0] == b'-' { -magnitude } else { magnitude });
    }
    let value: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let is_digit_or_point = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let is_finite_text = unsigned.first().is_some_and(is_digit_or_point);
    let has_digit = || {
        let mantissa = unsigned.split(|byte| matches!(byte, b'e' | b'E')).next();
        mantissa.is_some_and(|digits| digits.iter().any(|digit| matches!(digit, b'1'..=b'9')))
    };
    let too_small = value == 0.0 && has_digit();
    let too_large = value.is_infinite() && is_finite_text;
    (!value.is_nan() && !too_large && !too_small).then_some(value)
}

/// [`parse_float`] with the error that most commands answer.
pub fn float(bytes: &[u8]) -> Result<f64, CommandError> {
    parse_float(bytes).ok_or(CommandError::NotFloat)
}

/// The part of a hexadecimal number after `0x`, with at most 16 digits.
fn parse_hexadecimal(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?.to_ascii_lowercase();
    let (mantissa, exponent) = match text.split_once('p') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.starts_with('+') {
        return None;
    }
    let mantissa = u64::from_str_radix(&digits, 16).ok()? as f64;
    let value = mantissa * 2f64.powi(exponent.checked_sub(fraction.len() as i32 * 4)?);
    (value.is_finite() && (value != 0.0 || mantissa == 0.0)).then_some(value)
}

/// A double as Redis 7.2 shows it: an integer that fits 63 bits in full, all else by its shortest
/// digits that read back as the same double, with an exponent where that is shorter.
pub fn format_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value == 0.0 && value.is_sign_negative() {
        return out.extend_from_slice(b"-0");
    }
    const WHOLE_MAX: f64 = (1u64 << 62) as f64;
    if value.abs() <= WHOLE_MAX && value as i64 as f64 == value {
        return out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    }
    if value < 0.0 {
        out.push(b'-');
    }
    format_shortest(out, value.abs());
}

/// Precondition: `value` is finite and positive.
fn format_shortest(out: &mut Vec<u8>, value: f64) {
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().expect("invariant: ryu writes a number");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let digits = significant.trim_end_matches('0');
    // value = digits * 10^power, and its first digit counts 10^first.
    let power = exponent - fraction.len() as i32 + (significant.len() - digits.len()) as i32;
    let first = power + digits.len() as i32 - 1;
    if power >= 0 && first < digits.len() as i32 + 7 {
        out.extend_from_slice(digits.as_bytes());
        out.extend(std::iter::repeat_n(b'0', power as usize));
    } else if power < 0 && (power > -7 || first.abs() < 4) {
        if first < 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-first - 1) as usize));
            out.extend_from_slice(digits.as_bytes());
        } else {
            let (whole, fraction) = digits.split_at(first as usize + 1);
            out.extend_from_slice(whole.as_bytes());
            out.push(b'.');
            out.extend_from_slice(fraction.as_bytes());
        }
    } else {
        let (head, tail) = digits.split_at(1);
        let point = if tail.is_empty() { "" } else { "." };
        let sign = if first < 0 { '-' } else { '+' };
        let text = format!("{head}{point}{tail}e{sign}{}", first.abs());
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_read_back_as_themselves() {
        let cases = [
            (0.1, "0.1"),
            (3.0, "3"),
            (-3.5, "-3.5"),
            (1e21, "1e+21"),
            (1e17, "100000000000000000"),
            (1.5e-7, "1.5e-7"),
            (0.000_001, "0.000001"),
            (0.0, "0"),
            (-0.0, "-0"),
            (17_179_869_184.5, "17179869184.5"),
            (1.1e300, "1.1e+300"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (0.333_333_333_333_333_3, "0.3333333333333333"),
            (1.7e12, "1700000000000"),
        ];
        for (value, text) in cases {
            let mut out = Vec::new();
            format_double(&mut out, value);
            assert_eq!(out, text.as_bytes());
            if !value.is_nan() {
                assert_eq!(parse_float(&out), Some(value));
            }
        }
    }

    #[test]
    fn only_whole_numbers_in_range_are_doubles() {
        for text in [
            "", " 1", "1 ", "nan", "-nan", "1e400", "-1e400", "1e-400", "0x", "1x", "+-1", ".",
            "e5", "0x+1",
        ] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
        for (text, value) in [
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1.e2", 100.0),
            ("0x1f", 31.0),
            ("-0x1p-1", -0.5),
            ("Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("0e-999", 0.0),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(value), "{text}");
        }
    }

    #[test]
    fn integers_have_one_form() {
        for text in ["", "-", "+1", "01", "-0", "1.0", " 1", "9223372036854775808", "1a"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
        for value in [0, 1, -1, i64::MAX, i64::MIN, 1000] {
            assert_eq!(parse_integer(value.to_string().as_bytes()), Some(value));
        }
    }
}
