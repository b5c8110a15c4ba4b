//! Quantiles of the normal and of Student's distribution: how wide an interval must be for its confidence.

use fleuve_base::{Error, Result};

/// The quantile of the standard normal distribution at `p` in (0, 1), to about 16 digits; infinite at 0 and 1.
///
/// PPND16 of M. J. Wichura (1988), "Algorithm AS 241: The percentage points of the normal distribution".
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-tail.ln()).sqrt();
    let x = if r <= 5.0 { ratio(r - 1.6, &SHOULDER) } else { ratio(r - 5.0, &TAIL) };
    x.copysign(q)
}

/// The quantile of Student's distribution with `freedom` (at least 1) degrees that a variate exceeds in absolute value
/// with probability `1 - confidence`.
///
/// G. W. Hill (1970), "Algorithm 396: Student's t-quantiles"; right to 5 digits or more.
pub fn student_quantile(confidence: f64, freedom: f64) -> f64 {
    let (p, n) = (1.0 - confidence, freedom.max(1.0));
    if n < 1.5 {
        let angle = p * std::f64::consts::FRAC_PI_2;
        return angle.cos() / angle.sin();
    }
    if n < 2.5 {
        return (2.0 / (p * (2.0 - p)) - 2.0).max(0.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * std::f64::consts::FRAC_PI_2).sqrt() * n;
    let mut y = (d * p).powf(2.0 / n);
    if y > 0.05 + a {
        let x = normal_quantile(0.5 * p);
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        let inner = 1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) + 0.5 / (n + 4.0);
        y = (inner * y - 1.0) * (n + 1.0) / (n + 2.0) + 1.0 / y;
    }
    (n * y).sqrt()
}

/// A confidence, checked to be above 0 and below 1.
pub fn checked_confidence(confidence: f64) -> Result<f64> {
    if confidence > 0.0 && confidence < 1.0 {
        return Ok(confidence);
    }
    Err(Error::input("E304", format!("a confidence is above 0 and below 1, not {confidence}")))
}

/// The quotient of two polynomials of degree 7, coefficients of the numerator first, lowest first.
fn ratio(x: f64, [above, below]: &[[f64; 8]; 2]) -> f64 {
    let polynomial = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(above) / polynomial(below)
}

#[allow(clippy::excessive_precision, reason = "the coefficients as they were published")]
const CENTRE: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_608_0,
        1.331_416_678_917_843_774_5e2,
        1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4,
        4.592_195_393_154_987_145_7e4,
        6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4,
        2.509_080_928_730_122_672_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091_125_2e1,
        6.871_870_074_920_579_083_0e2,
        5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4,
        3.930_789_580_009_271_061_0e4,
        2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561_0e3,
    ],
];

#[allow(clippy::excessive_precision, reason = "the coefficients as they were published")]
const SHOULDER: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_577_34,
        4.630_337_846_156_545_295_90,
        5.769_497_221_460_691_405_50,
        3.647_848_324_763_204_605_04,
        1.270_458_252_452_368_382_58,
        2.417_807_251_774_506_117_70e-1,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_40e-4,
    ],
    [
        1.0,
        2.053_191_626_637_758_821_87,
        1.676_384_830_183_803_849_40,
        6.897_673_349_851_000_045_50e-1,
        1.481_039_764_274_800_745_90e-1,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946_00e-4,
        1.050_750_071_644_416_843_24e-9,
    ],
];

#[allow(clippy::excessive_precision, reason = "the coefficients as they were published")]
const TAIL: [[f64; 8]; 2] = [
    [
        6.657_904_643_501_103_777_20,
        5.463_784_911_164_114_369_90,
        1.784_826_539_917_291_335_80,
        2.965_605_718_285_048_912_30e-1,
        2.653_218_952_657_612_309_30e-2,
        1.242_660_947_388_078_438_60e-3,
        2.711_555_568_743_487_578_15e-5,
        2.010_334_399_292_288_132_65e-7,
    ],
    [
        1.0,
        5.998_322_065_558_879_376_90e-1,
        1.369_298_809_227_358_053_10e-1,
        1.487_536_129_085_061_485_25e-2,
        7.868_691_311_456_132_591_00e-4,
        1.846_318_317_510_054_681_80e-5,
        1.421_511_758_316_445_888_70e-7,
        2.044_263_103_389_939_785_64e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The checks of AS 241, and a table of Student's distribution.
    #[test]
    fn quantiles_agree_with_tables() {
        for (p, x) in
            [(0.25, -0.674_489_750_196_081_7), (0.001, -3.090_232_306_167_813), (1e-20, -9.262_340_089_798_408)]
        {
            assert!((normal_quantile(p) - x).abs() < 1e-13, "{p}: {}", normal_quantile(p));
        }
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-14);
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
        let table = [
            (0.95, 1.0, 12.706_205),
            (0.95, 2.0, 4.302_653),
            (0.99, 3.0, 5.840_909),
            (0.95, 5.0, 2.570_582),
            (0.95, 10.0, 2.228_139),
            (0.95, 30.0, 2.042_272),
            (0.99, 100.0, 2.625_891),
            (0.5, 7.0, 0.711_142),
        ];
        for (confidence, freedom, t) in table {
            let found = student_quantile(confidence, freedom);
            assert!((found / t - 1.0).abs() < 1e-4, "{confidence}, {freedom}: {found}");
        }
        assert!((student_quantile(0.95, 1e12) - 1.959_964).abs() < 1e-5);
    }

    #[test]
    fn a_confidence_is_a_probability() {
        for wrong in [0.0, 1.0, -0.5, 95.0, f64::NAN] {
            assert_eq!(checked_confidence(wrong).map_err(|e| e.code()), Err("E304"));
        }
    }
}
