//! A percentile spectrum as HdrHistogram's tools print and plot it
//! (<https://hdrhistogram.github.io/HdrHistogram/plotFiles.html>). Milliseconds.

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// Steps in each halving of the distance to 100 %, as the tools have it.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

pub fn write(out: &mut impl Write, histogram: &Histogram<u64>) -> io::Result<()> {
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e3;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value:12.3} {quantile:2.12} {total:10}")?;
        if quantile < 1.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        histogram.mean() / 1e3,
        histogram.stdev() / 1e3
    )?;
    writeln!(
        out,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        histogram.max() as f64 / 1e3,
        histogram.len()
    )?;
    let sub_buckets =
        1u64 << (64 - (2 * 10u64.pow(u32::from(histogram.sigfig())) - 1).leading_zeros());
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", histogram.buckets())
}
