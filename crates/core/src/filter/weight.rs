//! Weights in fields of content negotiation (RFC 9110 section 12.4.2).

/// The largest weight, and that of a member without one.
const MAX_WEIGHT: u16 = 1000;

/// Returns the weight of a member of `Accept` or `Accept-Encoding` from its parameters, in thousandths: that of the first `q`,
/// or 1000 without one. An invalid weight is 0, so that nothing is served which the client may have refused.
///
/// ```
/// use sluicegate_core::filter::weight_of;
///
/// assert_eq!(weight_of("level=9; q=0.25".split(';')), 250);
/// assert_eq!(weight_of("level=9".split(';')), 1000);
/// assert_eq!(weight_of("q=2".split(';')), 0);
/// ```
pub fn weight_of<'a>(mut parameters: impl Iterator<Item = &'a str>) -> u16 {
    let weight = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()).unwrap_or(0))
    });
    weight.unwrap_or(MAX_WEIGHT)
}

fn thousandths(value: &str) -> Option<u16> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(MAX_WEIGHT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_three_digits_at_most_and_is_no_more_than_one() {
        for (parameters, weight) in [
            ("", 1000),
            ("q=1", 1000),
            ("q=1.", 1000),
            ("q=1.000", 1000),
            (" Q = 0.5 ", 500),
            ("q=0.001", 1),
            ("q=0", 0),
            ("q=0.0001", 0),
            ("q=1.001", 0),
            ("q=2", 0),
            ("q=-1", 0),
            ("q=nan", 0),
            ("q=", 0),
            ("q", 1000),
            ("level=9;q=0.2;q=1", 200),
        ] {
            assert_eq!(weight_of(parameters.split(';')), weight, "{parameters:?}");
        }
    }
}
