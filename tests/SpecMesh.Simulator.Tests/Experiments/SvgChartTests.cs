using System.Globalization;
using System.Xml.Linq;
using SpecMesh.Simulator.Experiments;

namespace SpecMesh.Simulator.Tests.Experiments;

public sealed class SvgChartTests
{
    private static readonly Chart Example = new(
        "A < B & C", "x", "y", [new ChartLine("first", [new(0, 1, 0.2), new(10, 3)]), new ChartLine("second", [new(0, -2), new(10, 0.5, 0.1)])]);

    [Fact]
    public void a_chart_is_well_formed_and_always_the_same_text()
    {
        string svg = SvgChart.Draw(Example);
        Assert.Equal(svg, SvgChart.Draw(Example));
        XElement root = XDocument.Parse(svg).Root!;
        Assert.Equal("A < B & C", root.Element(root.Name.Namespace + "title")!.Value);
    }

    [Fact]
    public void every_colour_can_be_read_on_white_and_on_black()
    {
        string[] colours = [.. SvgChart.Draw(new Chart("c", "x", "y", [.. Enumerable.Range(0, 8).Select(i => new ChartLine($"{i}", [new(0, i), new(1, i)]))]))
            .Split('"').Where(part => part.StartsWith('#')).Distinct()];
        Assert.Equal(9, colours.Length);
        Assert.All(colours, colour =>
        {
            double luminance = Luminance(colour);
            Assert.True((1.05 / (luminance + 0.05)) >= 3 && ((luminance + 0.05) / 0.05) >= 3, $"{colour} has too little contrast.");
        });
    }

    [Fact]
    public void everything_lies_inside_of_the_picture()
    {
        foreach (XElement line in XDocument.Parse(SvgChart.Draw(Example)).Descendants().Where(element => element.Attribute("y1") is not null))
        {
            Assert.InRange(double.Parse(line.Attribute("y1")!.Value, CultureInfo.InvariantCulture), 0, 440);
            Assert.InRange(double.Parse(line.Attribute("x2")!.Value, CultureInfo.InvariantCulture), 0, 720);
        }
    }

    /// <summary>Relative luminance as WCAG 2 defines it.</summary>
    private static double Luminance(string colour)
    {
        double Channel(int at)
        {
            double value = int.Parse(colour.AsSpan(at, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture) / 255.0;
            return value <= 0.03928 ? value / 12.92 : Math.Pow((value + 0.055) / 1.055, 2.4);
        }

        return (0.2126 * Channel(1)) + (0.7152 * Channel(3)) + (0.0722 * Channel(5));
    }
}
