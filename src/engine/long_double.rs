//! The 80-bit floating-point numbers that Redis computes INCRBYFLOAT with on x86-64, in software:
//! 64 bits of mantissa, so that 10.5 + 0.1 shows as 10.6. All nodes get the same digits on any
//! machine.

use std::cmp::Ordering;
use std::fmt;

/// Redis refuses longer numbers.
const TEXT_LEN_MAX: usize = 5 * 1024;

/// A finite number has its top bit below 2 to this power.
const EXPONENT_END: i64 = 16_384;

/// Half of the smallest number that is not zero is 2 to this power.
const EXPONENT_UNDERFLOW: i64 = -16_446;

/// Digits after the point that are shown: `%.17Lf`.
const FRACTION_DIGITS: usize = 17;

/// `mantissa * 2^exponent`. Invariant: the top bit of the mantissa is set, or it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    is_negative: bool,
    is_infinite: bool,
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    const ZERO: Self = Self { is_negative: false, is_infinite: false, mantissa: 0, exponent: 0 };

    /// Decimal and hexadecimal numbers and infinities, with nothing before or after. `None` for
    /// anything else, for NaN, and for what is too large or too small.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_LEN_MAX {
            return None;
        }
        let (is_negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { is_negative, is_infinite: true, ..Self::ZERO });
        }
        let magnitude = match digits {
            [b'0', b'x' | b'X', hex @ ..] => Self::parse_hexadecimal(hex)?,
            _ => Self::parse_decimal(digits)?,
        };
        Some(Self { is_negative, ..magnitude })
    }

    fn parse_decimal(text: &[u8]) -> Option<Self> {
        let parts = Parts::split(text, 10, b'e')?;
        let mut number = Natural::default();
        for digit in &parts.digits {
            number.multiply_add(10, *digit);
        }
        if number.is_zero() {
            return Some(Self::ZERO);
        }
        let magnitude = parts.exponent + parts.digits.len() as i64;
        if !(-5_000..=5_000).contains(&magnitude) {
            return None;
        }
        let power = Natural::power_of_ten(parts.exponent.unsigned_abs());
        if parts.exponent >= 0 {
            let (bits, exponent) = number.product(&power).top_bits();
            Self::rounded(bits, exponent)
        } else {
            let (bits, exponent) = number.quotient_bits(&power);
            Self::rounded(bits, exponent)
        }
    }

    fn parse_hexadecimal(text: &[u8]) -> Option<Self> {
        let parts = Parts::split(text, 16, b'p')?;
        let mut number = Natural::default();
        for digit in &parts.digits {
            number.multiply_add(16, *digit);
        }
        if number.is_zero() {
            return Some(Self::ZERO);
        }
        let (bits, exponent) = number.top_bits();
        Self::rounded(bits, exponent + parts.exponent)
    }

    /// The nearest number to `bits * 2^exponent`; the lowest bit stands for all that was cut off.
    /// `None` when it is out of range.
    fn rounded(bits: u128, exponent: i64) -> Option<Self> {
        if bits == 0 {
            return Some(Self::ZERO);
        }
        let shift = 64 - i64::from(bits.leading_zeros());
        let (mut mantissa, mut exponent) = (bits, exponent + shift);
        if shift > 0 {
            mantissa = shift_right_rounded(bits, shift as u32);
            if mantissa >> 64 != 0 {
                mantissa >>= 1;
                exponent += 1;
            }
        } else {
            mantissa <<= -shift;
        }
        if exponent + 64 > EXPONENT_END || exponent + 64 <= EXPONENT_UNDERFLOW {
            return None;
        }
        let mantissa = mantissa as u64;
        Some(Self { is_negative: false, is_infinite: false, mantissa, exponent })
    }

    /// The sum, or `None` when it is not a finite number.
    pub fn finite_sum(&self, other: &Self) -> Option<Self> {
        if self.is_infinite || other.is_infinite {
            return None;
        }
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { *other } else { *self });
        }
        let is_first_larger = (self.exponent, self.mantissa) >= (other.exponent, other.mantissa);
        let (large, small) = if is_first_larger { (self, other) } else { (other, self) };
        // 62 more bits on the right, and one left free for the carry.
        let large_bits = u128::from(large.mantissa) << 62;
        let small_bits = u128::from(small.mantissa) << 62;
        let distance = large.exponent - small.exponent;
        let small_bits = if distance < 128 {
            let shifted = small_bits >> distance;
            shifted | u128::from(shifted << distance != small_bits)
        } else {
            1
        };
        let bits = if large.is_negative == small.is_negative {
            large_bits + small_bits
        } else {
            large_bits - small_bits
        };
        let sum = Self::rounded(bits, large.exponent - 62)?;
        Some(Self { is_negative: large.is_negative && sum.mantissa != 0, ..sum })
    }
}

/// As Redis shows it: without an exponent, at most 17 digits after the point, no zeros at the end.
impl fmt::Display for LongDouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_infinite {
            "inf".to_owned()
        } else if self.exponent >= 0 {
            let mut number = Natural::from_u64(self.mantissa);
            number.shift_left(self.exponent as usize);
            number.to_decimal()
        } else {
            let scaled = u128::from(self.mantissa) * 10u128.pow(FRACTION_DIGITS as u32);
            let shift = self.exponent.unsigned_abs();
            let scaled = if shift < 128 { shift_right_rounded(scaled, shift as u32) } else { 0 };
            let digits = format!("{scaled:0width$}", width = FRACTION_DIGITS + 1);
            let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{whole}{point}{fraction}")
        };
        let sign = if self.is_negative && text != "0" { "-" } else { "" };
        write!(formatter, "{sign}{text}")
    }
}

/// To the nearest, ties to even. Precondition: `0 < shift < 128`.
fn shift_right_rounded(bits: u128, shift: u32) -> u128 {
    let quotient = bits >> shift;
    let rest = bits & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    quotient + u128::from(rest > half || (rest == half && quotient & 1 == 1))
}

/// Digits without the point, and the power of the base (of 2 for hexadecimal) that they count.
struct Parts {
    digits: Vec<u32>,
    exponent: i64,
}

impl Parts {
    fn split(text: &[u8], base: u32, exponent_mark: u8) -> Option<Self> {
        let mut digits = Vec::with_capacity(text.len());
        let mut after_point: Option<i64> = None;
        let mut position = 0;
        while let Some(byte) = text.get(position) {
            if let Some(digit) = char::from(*byte).to_digit(base) {
                digits.push(digit);
                after_point = after_point.map(|count| count + 1);
            } else if *byte == b'.' && after_point.is_none() {
                after_point = Some(0);
            } else {
                break;
            }
            position += 1;
        }
        if digits.is_empty() {
            return None;
        }
        let given = match &text[position..] {
            [] => 0,
            [mark, rest @ ..] if mark.eq_ignore_ascii_case(&exponent_mark) => exponent(rest)?,
            _ => return None,
        };
        let digit_bits = if base == 16 { 4 } else { 1 };
        Some(Self { digits, exponent: given - after_point.unwrap_or(0) * digit_bits })
    }
}

/// An exponent, of which more than a million is as good as a million.
fn exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some(if is_negative { -value } else { value })
}

/// A natural number of any size: its words, the lowest first. Invariant: the last word is not 0.
#[derive(Clone, Debug, Default)]
struct Natural(Vec<u32>);

impl Natural {
    fn from_u64(value: u64) -> Self {
        let mut number = Self(vec![value as u32, (value >> 32) as u32]);
        number.trim();
        number
    }

    fn power_of_ten(exponent: u64) -> Self {
        let mut power = Self(vec![1]);
        (0..exponent / 9).for_each(|_| power.multiply_add(1_000_000_000, 0));
        power.multiply_add(10u32.pow((exponent % 9) as u32), 0);
        power
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> usize {
        match self.0.last() {
            Some(last) => self.0.len() * 32 - last.leading_zeros() as usize,
            None => 0,
        }
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    fn product(&self, other: &Self) -> Self {
        let mut product = Self(vec![0; self.0.len() + other.0.len()]);
        for (offset, factor) in other.0.iter().enumerate() {
            let mut carry = 0u64;
            for (position, word) in self.0.iter().enumerate() {
                let target = &mut product.0[offset + position];
                carry += u64::from(*target) + u64::from(*word) * u64::from(*factor);
                *target = carry as u32;
                carry >>= 32;
            }
            product.0[offset + self.0.len()] = carry as u32;
        }
        product.trim();
        product
    }

    fn shift_left(&mut self, bits: usize) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (bits % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, bits / 32));
    }

    fn is_below(&self, other: &Self) -> bool {
        match self.0.len().cmp(&other.0.len()) {
            Ordering::Equal => self.0.iter().rev().lt(other.0.iter().rev()),
            ordering => ordering == Ordering::Less,
        }
    }

    /// Precondition: `other` is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0i64;
        for (position, word) in self.0.iter_mut().enumerate() {
            let taken = other.0.get(position).map_or(0, |word| i64::from(*word));
            let rest = i64::from(*word) - taken + borrow;
            *word = rest as u32;
            borrow = rest >> 32;
        }
        self.trim();
    }

    /// The top 100 bits, the lowest of them set when bits below were, and the power of 2 they
    /// count.
    fn top_bits(&self) -> (u128, i64) {
        let cut = self.bits().saturating_sub(100);
        let mut top = 0u128;
        let mut lost = false;
        for (position, word) in self.0.iter().enumerate() {
            let place = position as i64 * 32 - cut as i64;
            let word = u128::from(*word);
            if place >= 0 {
                top |= word << place;
            } else if place > -32 {
                top |= word >> -place;
                lost |= word & ((1 << -place) - 1) != 0;
            } else {
                lost |= word != 0;
            }
        }
        (top | u128::from(lost), cut as i64)
    }

    /// At least 66 bits of `self / divisor`, the lowest of them set when there is a rest, and the
    /// power of 2 they count.
    fn quotient_bits(mut self, divisor: &Self) -> (u128, i64) {
        const QUOTIENT_BITS: usize = 67;
        let shift = (QUOTIENT_BITS + divisor.bits()).saturating_sub(self.bits());
        self.shift_left(shift);
        // The divisor is brought to the top of the dividend, then down one bit at a time.
        let distance = self.bits() - divisor.bits();
        let mut scaled = divisor.clone();
        scaled.shift_left(distance);
        let steps = distance.min(120);
        let mut quotient = 0u128;
        for step in 0..=steps {
            quotient <<= 1;
            if !self.is_below(&scaled) {
                self.subtract(&scaled);
                quotient |= 1;
            }
            if step < steps {
                scaled.halve();
            }
        }
        let lost = u128::from(!self.is_zero());
        (quotient | lost, (distance - steps) as i64 - shift as i64)
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for word in self.0.iter_mut().rev() {
            let low = *word & 1;
            *word = *word >> 1 | carry << 31;
            carry = low;
        }
        self.trim();
    }

    fn to_decimal(&self) -> String {
        let mut rest = self.clone();
        let mut groups = Vec::new();
        while !rest.is_zero() {
            let mut remainder = 0u64;
            for word in rest.0.iter_mut().rev() {
                let part = remainder << 32 | u64::from(*word);
                *word = (part / 1_000_000_000) as u32;
                remainder = part % 1_000_000_000;
            }
            rest.trim();
            groups.push(remainder);
        }
        let Some(first) = groups.pop() else { return "0".to_owned() };
        groups.iter().rev().fold(first.to_string(), |text, group| format!("{text}{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected sums are what redis-server answers on x86-64.
    #[test]
    fn sums_show_the_digits_of_redis() {
        let huge = "1".to_owned() + &"0".repeat(40);
        let cases = [
            ("10.5", "0.1", "10.6"),
            ("0", "3.0e3", "3000"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3", "1.1", "4.1"),
            ("1", "-1", "0"),
            ("3.3", "1.1", "4.4"),
            ("123456789.123456789", "0.000000001", "123456789.12345678999554366"),
            ("1e18", "0.123", "1000000000000000000.125"),
            ("4294967295.7", "-0.1", "4294967295.59999999986030161"),
            ("1e4000", "-1e4000", "0"),
            ("-0.5", "0.25", "-0.25"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "1e-18", "0"),
            ("0", "-1e-18", "0"),
            ("0", "0x10", "16"),
            ("0", "0x1.8p1", "3"),
            ("1e20", "0.1", "100000000000000000000"),
            ("17179869184", "1.5", "17179869185.5"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551615", "1.5", "18446744073709551616"),
            (huge.as_str(), "0", "9999999999999999999783686092270256259072"),
        ];
        for (left, right, sum) in cases {
            let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
            let got = parse(left).finite_sum(&parse(right)).unwrap().to_string();
            assert_eq!(got, sum, "{left} + {right}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for text in [
            "", " 1", "1 ", "abc", "nan", "1e", "1e+", ".", "-", "1.2.3", "0x", "1e5000",
            "1e-5000", "--1", "1_0",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        let infinity = LongDouble::parse(b"-inf").unwrap();
        assert_eq!(infinity.finite_sum(&LongDouble::ZERO), None);
        let largest = LongDouble::parse(b"1.18e4932").unwrap();
        assert_eq!(largest.finite_sum(&largest), None);
    }
}
