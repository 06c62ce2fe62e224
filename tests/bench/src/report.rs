//! Figures, the ratios between them, and the limits that they are held against.

use std::fmt;

use serde::Serialize;

/// The middle of what was measured; the mean of the two in the middle where there is an even number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(below), values.get(above)) {
        (Some(below), Some(above)) => (below + above) / 2.0,
        _ => f64::NAN,
    }
}

/// On which side of its limit a value must lie.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(out, ">= {least}"),
            Self::AtMost(most) => write!(out, "<= {most}"),
        }
    }
}

/// Something that was measured, once a round.
#[derive(Debug, Serialize)]
pub struct Figure {
    name: String,
    unit: &'static str,
    median: f64,
    rounds: Vec<f64>,
}

/// Something that is demanded. Where it is a ratio, it is the median of each round's own ratio, so that a neighbour who
/// slows a whole round down does not show.
#[derive(Debug, Serialize)]
pub struct Demand {
    name: String,
    value: f64,
    limit: Limit,
    is_met: bool,
}

/// Everything that a run found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub notes: Vec<String>,
    pub figures: Vec<Figure>,
    pub demands: Vec<Demand>,
}

impl Report {
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub fn figure(&mut self, name: impl Into<String>, unit: &'static str, rounds: &[f64]) {
        if !rounds.is_empty() {
            self.figures.push(Figure {
                name: name.into(),
                unit,
                median: median(rounds.to_vec()),
                rounds: rounds.to_vec(),
            });
        }
    }

    pub fn demand(&mut self, name: impl Into<String>, rounds: Vec<f64>, limit: Limit) {
        if !rounds.is_empty() {
            let value = median(rounds);
            self.demands.push(Demand { name: name.into(), value, limit, is_met: limit.holds(value) });
        }
    }

    /// A demand on the ratio of two figures of the same rounds.
    pub fn ratio(&mut self, name: &str, of: &[f64], to: &[f64], limit: Limit) {
        self.demand(name, of.iter().zip(to).map(|(of, to)| of / to).collect(), limit);
    }
}

fn shown(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "\n{:<74} {:>10}  rounds", "measured", "median")?;
        for figure in &self.figures {
            let rounds: Vec<String> = figure.rounds.iter().map(|value| shown(*value)).collect();
            let name = format!("{} ({})", figure.name, figure.unit);
            writeln!(out, "{name:<74} {:>10}  {}", shown(figure.median), rounds.join(" "))?;
        }
        writeln!(out, "\n{:<74} {:>10}  demanded", "ratios and limits", "found")?;
        for demand in &self.demands {
            let verdict = if demand.is_met { "met" } else { "MISSED" };
            writeln!(out, "{:<74} {:>10}  {} {verdict}", demand.name, shown(demand.value), demand.limit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
