//! The plot's colours, for light and for dark.
//!
//! As rules on classes and not as variables: those who cannot do the dark ones at least show the light ones.

/// How many series have a colour of their own.
pub(super) const COLOURS: usize = 6;

pub(super) const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.tick, .unit { font-size: 12px; fill: #57606a }
.paper { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
.axis { stroke: #8c959f; stroke-width: 1 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
.thin { stroke-width: 1.3; stroke-opacity: .75 }
.broad { stroke-width: 7; stroke-opacity: .5 }
.band { stroke: none; fill-opacity: .22 }
.goal { fill: none; stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 6 4 }
.s0 { stroke: #0969da } .s1 { stroke: #d1570a } .s2 { stroke: #1a7f5a }
.s3 { stroke: #bf3989 } .s4 { stroke: #8250df } .s5 { stroke: #8a6d00 }
.band.s0 { fill: #0969da; stroke: none } .band.s1 { fill: #d1570a; stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.tick, .unit { fill: #9da7b3 }
.paper { fill: #0d1117 }
.grid { stroke: #262c36 }
.axis { stroke: #6e7681 }
.goal { stroke: #9da7b3 }
.s0 { stroke: #58a6ff } .s1 { stroke: #ff9b50 } .s2 { stroke: #4ac99b }
.s3 { stroke: #f778ba } .s4 { stroke: #b392f0 } .s5 { stroke: #d9b92e }
.band.s0 { fill: #58a6ff; stroke: none } .band.s1 { fill: #ff9b50; stroke: none }
}
";
