//! Functions from one number to another, as Go calculates them.

use std::f64::consts::{LN_2, LOG2_E, LOG10_2};

use crate::expr::Curve;

/// 2^28
const LARGE: f64 = 268_435_456.0;

pub(super) fn at(curve: Curve, x: f64) -> f64 {
    match curve {
        Curve::Abs => x.abs(),
        Curve::Ceil => x.ceil(),
        Curve::Floor => x.floor(),
        Curve::Sgn if x < 0.0 => -1.0,
        Curve::Sgn if x > 0.0 => 1.0,
        Curve::Sgn => x,
        Curve::Sqrt => x.sqrt(),
        Curve::Exp => x.exp(),
        Curve::Ln => x.ln(),
        Curve::Log2 => log2(x),
        Curve::Log10 => log2(x) * LOG10_2,
        Curve::Sin => x.sin(),
        Curve::Cos => x.cos(),
        Curve::Tan => x.tan(),
        Curve::Asin => x.asin(),
        Curve::Acos => x.acos(),
        Curve::Atan => x.atan(),
        Curve::Sinh if x.abs() > 21.0 => (x.abs().exp() * 0.5).copysign(x),
        Curve::Sinh => x.sinh(),
        Curve::Cosh if x.abs() > 21.0 => x.abs().exp() * 0.5,
        Curve::Cosh => x.cosh(),
        Curve::Tanh => x.tanh(),
        // Beyond this the sum inside would overflow before its logarithm is taken.
        Curve::Asinh if x.abs() > LARGE => (x.abs().ln() + LN_2).copysign(x),
        Curve::Asinh => x.asinh(),
        Curve::Acosh if x > LARGE => x.ln() + LN_2,
        Curve::Acosh => x.acosh(),
        Curve::Atanh => x.atanh(),
        Curve::Deg => x * 180.0 / std::f64::consts::PI,
        Curve::Rad => x * std::f64::consts::PI / 180.0,
    }
}

/// Go takes the exponent from the bits, and so the logarithm of a power of two is exact, and that
/// of 1000 to the base of 10 is a bit less than 3.
fn log2(x: f64) -> f64 {
    if !x.is_normal() || x < 0.0 {
        return x.log2();
    }
    const EXPONENT: u64 = 0x7ff << 52;
    const HALF: u64 = 1022 << 52;
    let bits = x.to_bits();
    let fraction = f64::from_bits((bits & !EXPONENT) | HALF);
    // The biased exponent has 11 bits.
    let exponent = u16::try_from((bits & EXPONENT) >> 52).map_or(0.0, f64::from) - 1022.0;
    if fraction == 0.5 {
        exponent - 1.0
    } else {
        fraction.ln() * LOG2_E + exponent
    }
}
