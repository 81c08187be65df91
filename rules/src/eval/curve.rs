//! Functions from one number to another.

use crate::expr::Curve;

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
        Curve::Log2 => x.log2(),
        Curve::Log10 => x.log10(),
        Curve::Sin => x.sin(),
        Curve::Cos => x.cos(),
        Curve::Tan => x.tan(),
        Curve::Asin => x.asin(),
        Curve::Acos => x.acos(),
        Curve::Atan => x.atan(),
        Curve::Sinh => x.sinh(),
        Curve::Cosh => x.cosh(),
        Curve::Tanh => x.tanh(),
        Curve::Asinh => x.asinh(),
        Curve::Acosh => x.acosh(),
        Curve::Atanh => x.atanh(),
        Curve::Deg => x * 180.0 / std::f64::consts::PI,
        Curve::Rad => x * std::f64::consts::PI / 180.0,
    }
}
