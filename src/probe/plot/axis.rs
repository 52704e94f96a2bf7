//! Axes: map values to coordinates, with ticks at round numbers.

/// An axis that begins at zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The coordinate of zero.
    pub(super) zero: f64,
    /// The coordinate of `most`.
    pub(super) end: f64,
    pub(super) most: f64,
    /// Values of the ticks, with their labels.
    pub(super) ticks: Vec<(f64, String)>,
    /// The unit of the labels.
    pub unit: &'static str,
}

impl Axis {
    /// An axis of seconds. `unit` names their origin.
    pub fn of_seconds(most: f64, zero: f64, end: f64, unit: &'static str) -> Self {
        const STEPS: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0];
        let most = most.max(0.01);
        let step =
            STEPS.into_iter().find(|step| most / step <= 10.5).unwrap_or_else(|| round_step(most / 10.0));
        Self { zero, end, most, ticks: ticks(step, most), unit }
    }

    /// An axis of bytes, or bytes per second, with a little space above `most`.
    pub fn of_bytes(most: f64, zero: f64, end: f64, units: &[&'static str; 5]) -> Self {
        let most = most.max(1.0);
        let mut scale = 1.0;
        let mut unit = units[0];
        for larger in &units[1..] {
            if most < scale * 1024.0 {
                break;
            }
            (scale, unit) = (scale * 1024.0, *larger);
        }
        let count = if (zero - end).abs() > 200.0 { 5.0 } else { 4.0 };
        let top = most * 1.06 / scale;
        let ticks = ticks(round_step(top / count), top);
        let ticks = ticks.into_iter().map(|(value, words)| (value * scale, words)).collect();
        Self { zero, end, most: top * scale, ticks, unit }
    }

    /// The coordinate of a value, at most that of the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        self.zero + (self.end - self.zero) * (value / self.most).clamp(0.0, 1.0)
    }
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    power * steps.into_iter().find(|step| step * power >= least * 0.999_999).unwrap_or(10.0)
}

fn ticks(step: f64, most: f64) -> Vec<(f64, String)> {
    let tenths = (step * 10.0).fract() > 1e-6;
    let places = if step.fract() < 1e-6 {
        0
    } else if tenths {
        2
    } else {
        1
    };
    let count = (most / step * 1.000_001).floor() as u32;
    (0..=count).map(|n| f64::from(n) * step).map(|value| (value, format!("{value:.places$}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

    fn words(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, words)| words.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (most, expected) in [
            (30.0, &["0", "5", "10", "15", "20", "25", "30"][..]),
            (3.4, &["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]),
            (1.0, &["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]),
            (86_400.0, &["0", "10000", "20000", "30000", "40000", "50000", "60000", "70000", "80000"]),
        ] {
            assert_eq!(words(&Axis::of_seconds(most, 0.0, 100.0, "s")), expected, "{most}");
        }
        for (most, unit, expected) in [
            (1_843_200.0, "MiB", &["0.0", "0.5", "1.0", "1.5"][..]),
            (230_000.0, "KiB", &["0", "50", "100", "150", "200"]),
            (1.0, "B", &["0.00", "0.25", "0.50", "0.75", "1.00"]),
            (1400.0, "KiB", &["0.0", "0.5", "1.0"]),
        ] {
            let axis = Axis::of_bytes(most, 400.0, 0.0, &UNITS);
            assert_eq!((axis.unit, words(&axis)), (unit, expected.to_vec()), "{most}");
        }
    }

    #[test]
    fn places_stay_between_the_ends() {
        let axis = Axis::of_seconds(10.0, 100.0, 200.0, "s");
        for (value, place) in [(-1.0, 100.0), (0.0, 100.0), (5.0, 150.0), (11.0, 200.0)] {
            assert_eq!(axis.place(value), place);
        }
    }
}
