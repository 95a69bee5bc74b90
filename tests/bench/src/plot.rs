//! The curves as an SVG.

use infertally_harness::Result;
use plotters::prelude::*;

use crate::growth::{Curve, Point};

const SIZE: (u32, u32) = (1000, 1100);
const COLUMNS: usize = 2;
const TITLE: (&str, u32) = ("sans-serif", 15);
const LABEL: (&str, u32) = ("sans-serif", 12);
const WITHOUT: RGBColor = RGBColor(120, 120, 120);
const WITH: RGBColor = RGBColor(0, 90, 180);

/// Draws one panel per curve: Envoy without the filter, and with it.
///
/// # Errors
/// If a curve has no points.
pub fn svg(curves: &[Curve]) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let panels = root.split_evenly((curves.len().div_ceil(COLUMNS), COLUMNS));
        for (curve, panel) in curves.iter().zip(&panels) {
            draw(curve, panel)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn draw(curve: &Curve, panel: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<()> {
    let with = |point: &Point| point.without + point.added;
    let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) else {
        return Err(format!("{}: no points", curve.title).into());
    };
    let top = curve.points.iter().map(with).fold(0.0, f64::max) * 1.1;
    let bottom = curve
        .points
        .iter()
        .map(|point| point.without.min(with(point)))
        .fold(top, f64::min);
    // A linear curve over decades is a line only if both axes have a logarithmic scale.
    let log = top > 20.0 * bottom && bottom > 0.0;
    let x = (first.x as f64..last.x as f64).log_scale();
    let caption = format!("{}, {}", curve.title, curve.unit);
    let mut builder = ChartBuilder::on(panel);
    builder
        .caption(caption, TITLE)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56);
    macro_rules! series {
        ($y:expr) => {{
            let mut chart = builder.build_cartesian_2d(x, $y)?;
            chart
                .configure_mesh()
                .x_desc(curve.parameter)
                .label_style(LABEL)
                .light_line_style(TRANSPARENT)
                .x_label_formatter(&|x| format!("{x:.0}"))
                .draw()?;
            let lines: [(_, _, fn(&Point) -> f64); 2] = [
                ("no filter", WITHOUT, |point| point.without),
                ("infertally", WITH, |point| point.without + point.added),
            ];
            for (name, color, y) in lines {
                let points = curve.points.iter().map(|point| (point.x as f64, y(point)));
                chart
                    .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .label_font(LABEL)
                .background_style(WHITE.mix(0.8))
                .draw()?;
        }};
    }
    if log {
        series!((bottom * 0.8..top).log_scale());
    } else {
        series!(0.0..top);
    }
    Ok(())
}
