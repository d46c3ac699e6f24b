//! The axes of the plots: the range of an axis, the places of its ticks, and the text of its labels.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::columns::{bytes, count, number};

/// An axis for the plotting crate. The axes of the plotting crate put their ticks at places that are hard to read.
#[derive(Clone, Debug)]
pub struct Scale {
    log: bool,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

/// The approximate number of ticks that fit without touching.
const TICKS: f64 = 6.0;

impl Scale {
    /// Returns a linear axis from `low`, or from a tick below `low`, to a tick above `high`.
    pub fn linear(low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let span = high - low;
        let power = 10f64.powf((span / TICKS).log10().floor());
        let step = [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|step| span / step <= TICKS);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|at| (first + at as f64) * step).collect();
        Self { log: false, low: first * step, high: last * step, ticks }
    }

    /// Returns a logarithmic axis with a tick at each decade, and with ticks between the decades if there are few
    /// decades. Returns `None` if no value is above 0.
    pub fn log(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = bounds(values, 1.25)?;
        let steps: &[f64] = match (high / low).log10() {
            decades if decades > 2.2 => &[1.0],
            decades if decades > 0.9 => &[1.0, 2.0, 5.0],
            // These steps leave enough room between two ticks for the labels.
            _ => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        };
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
        Some(Self { log: true, low, high, ticks: ticks.filter(|tick| (low..=high).contains(tick)).collect() })
    }

    /// Returns a logarithmic axis with ticks at powers of four, for amounts of memory.
    pub fn binary(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = bounds(values, 1.5)?;
        let steps = if high / low > 65_536.0 { 2 } else { 1 };
        let powers = (low.log2() / 2.0).floor() as i32..=(high.log2() / 2.0).ceil() as i32;
        let ticks = powers.filter(|power| power % steps == 0).map(|power| 4f64.powi(power));
        Some(Self { log: true, low, high, ticks: ticks.filter(|tick| (low..=high).contains(tick)).collect() })
    }

    /// Returns a logarithmic axis with a tick at each value. A value that lies too close to another tick has no tick.
    pub fn log_at(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let (low, high) = bounds(values.clone(), 1.25)?;
        let mut ticks: Vec<f64> = Vec::new();
        let mut values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
        values.sort_unstable_by(f64::total_cmp);
        for value in values {
            let distance = ticks.last().map_or(f64::INFINITY, |last| (value / last).ln() / (high / low).ln());
            if distance > 0.07 {
                ticks.push(value);
            }
        }
        Some(Self { log: true, low, high, ticks })
    }

    pub fn label(&self, tick: f64, write: fn(f64) -> String) -> String {
        // A tick that is not 0 only because of a rounding error is written as 0.
        write(if tick.abs() < 1e-12 { 0.0 } else { tick })
    }

    /// Returns the place of a value on the axis, from 0 to 1. A value outside of the axis is moved to the nearest end.
    fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.place(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // The axis has no finer lines between the ticks.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// Returns bounds that are a little wider than the range of the values above 0, so that no value lies on the edge.
fn bounds(values: impl Iterator<Item = f64>, room: f64) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|value| *value > 0.0 && value.is_finite())
        .map(|value| (value, value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))?;
    Some((low / room, high * room))
}

/// Returns a number with a unit of thousands or millions: `200k`, `1.5M`.
pub fn thousands(value: f64) -> String {
    let (value, unit) = match value {
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    format!("{}{unit}", plain(value))
}

/// Returns a time in microseconds as text with a suitable unit.
pub fn time(value: f64) -> String {
    let (value, unit) = match value {
        _ if value >= 1e6 => (value / 1e6, "s"),
        _ if value >= 1e3 => (value / 1e3, "ms"),
        _ => (value, "µs"),
    };
    format!("{} {unit}", plain(value))
}

/// Returns a number without zeros at its end, because ticks have few digits.
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 {
        return count(value);
    }
    number(value).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns an amount of memory as text: `4 KiB`.
pub fn memory(value: f64) -> String {
    bytes(value).replace("bytes", "B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_end_at_a_tick() {
        let scale = Scale::linear(0.0, 0.83);
        assert_eq!(scale.range(), 0.0..1.0);
        assert_eq!(
            scale.ticks.iter().map(|tick| plain(*tick)).collect::<Vec<_>>().join(" "),
            "0 0.2 0.4 0.6 0.8 1"
        );
        assert_eq!(Scale::linear(0.0, 0.0).range(), 0.0..1.0);
        let apart = Scale::linear(0.9, 1.2);
        assert_eq!((plain(apart.low), plain(apart.high)), ("0.9".to_owned(), "1.2".to_owned()));
    }

    #[test]
    fn an_axis_with_few_decades_has_ticks_between_the_decades() {
        let many = Scale::log([3.0, 5000.0].into_iter()).unwrap();
        assert_eq!(many.ticks, [10.0, 100.0, 1000.0]);
        let few = Scale::log([3.0, 40.0].into_iter()).unwrap();
        assert_eq!(few.ticks, [5.0, 10.0, 20.0, 50.0]);
        assert_eq!(few.label(20.0, time), "20 µs");
        let fewest = Scale::log([500.0, 2500.0].into_iter()).unwrap();
        assert_eq!(fewest.ticks, [500.0, 700.0, 1000.0, 1500.0, 2000.0, 3000.0]);
    }

    #[test]
    fn values_without_one_above_zero_make_no_logarithmic_axis() {
        assert!(Scale::log([0.0, -1.0, f64::NAN, f64::INFINITY].into_iter()).is_none());
        assert!(Scale::binary(std::iter::empty()).is_none());
        assert!(Scale::log_at(std::iter::empty()).is_none());
    }

    #[test]
    fn a_single_value_makes_an_axis() {
        for scale in [Scale::log([100.0].into_iter()), Scale::log_at([100.0].into_iter())] {
            let scale = scale.unwrap();
            assert!((scale.place(100.0) - 0.5).abs() < 1e-9 && scale.ticks.contains(&100.0), "{scale:?}");
        }
    }

    #[test]
    fn values_too_close_to_each_other_share_a_tick() {
        let scale = Scale::log_at([10_000.0, 1.0, 9_900.0, 100.0, 1.0].into_iter()).unwrap();
        assert_eq!(scale.ticks, [1.0, 100.0, 9900.0]);
    }

    #[test]
    fn tick_labels_have_few_digits_and_a_unit() {
        assert_eq!([0.0, 1500.0, 200_000.0, 2e6].map(thousands), ["0", "1.5k", "200k", "2M"]);
        assert_eq!([0.5, 20.0, 1000.0, 5e6].map(time), ["0.5 µs", "20 µs", "1 ms", "5 s"]);
        assert_eq!([64.0, 16384.0].map(memory).map(|text| text.replace('\u{a0}', " ")), ["64 B", "16 KiB"]);
    }
}
