using System.Xml.Linq;
using Hone.Formats.Jobs;
using Hone.Training.Reports;
using Hone.Training.Training;

namespace Hone.Training.Tests.Reports;

public sealed class CurvesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-curves-").FullName;

    [Theory]
    [Trait("Category", "Slow")]
    [InlineData(180)]
    [InlineData(1)]
    public void Write_AnyRun_DrawsLossesAndRateInBothForms(int steps)
    {
        RunReport report = Report(steps);

        CurvesReport curves = Curves.Write(_folder, report);

        Assert.Null(curves.Missing);
        XElement svg = XDocument.Load(Path.Combine(_folder, "curves.svg")).Root!;
        Assert.Equal("svg", svg.Name.LocalName);
        // Each line in its colour: training, rate, validation.
        foreach (string colour in new[] { "#4682B4", "#B0B0B0", "#B22222" })
            Assert.Contains(svg.Descendants(), e => new[] { "stroke", "fill" }.Any(a => string.Equals((string?)e.Attribute(a), colour, StringComparison.OrdinalIgnoreCase)));
        Assert.Equal([0x89, 0x50, 0x4E, 0x47], File.ReadAllBytes(Path.Combine(_folder, "curves.png"))[..4]);
        string markdown = ReportMarkdown.Write(report with { Curves = curves });
        Assert.Contains("![Loss and learning rate](curves.svg)", markdown, StringComparison.Ordinal);
        Assert.Contains($"Steps 1 to {steps} ", markdown, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_DrawingFails_ReportSaysSoAndNoFileStays()
    {
        RunReport report = Report(5);

        CurvesReport curves = Curves.Write(_folder, report, (folder, _) =>
        {
            File.WriteAllText(Path.Combine(folder, "curves.svg"), "<svg");
            throw new TypeInitializationException("SkiaSharp.SKObject", new DllNotFoundException("Unable to load shared library 'libSkiaSharp'\nmore"));
        });

        Assert.Empty(curves.Files);
        Assert.Empty(Directory.EnumerateFiles(_folder));
        Assert.Contains("The curves are missing: DllNotFoundException: Unable to load shared library 'libSkiaSharp'", ReportMarkdown.Write(report with { Curves = curves }), StringComparison.Ordinal);
    }

    [Fact]
    public void Thin_ManySteps_KeepsTheMean()
    {
        double[] values = [.. Enumerable.Range(0, 15_000).Select(i => (double)i)];
        (double[] steps, double[] means) = Curves.Thin(values);
        Assert.Equal(1500, steps.Length);
        Assert.Equal((5.5, 4.5), (steps[0], means[0]));
        Assert.Equal(values.Average(), means.Average(), 6);
        Assert.Equal([1.0, 2.0], Curves.Thin([7, 8]).Steps);
    }

    private static RunReport Report(int steps) => new()
    {
        JobId = "job",
        Name = "name",
        Base = new BaseReport("base", null, "llama", "F32", 1),
        Settings = [],
        Data = new DataReport(1, 1, 1, 1),
        Metrics = new FinalMetrics { Steps = steps, Epochs = 1, Rows = 1, TrainedTokens = 1, FirstLoss = 4, TrainLoss = 1, TrainSeconds = 1, PeakMemoryMb = 1 },
        Losses = [.. Enumerable.Range(0, steps).Select(i => 4 * Math.Exp(-i / 30.0))],
        LearningRates = [.. Enumerable.Range(0, steps).Select(i => 1e-3 * (1 - (double)i / steps))],
        Evaluations = [new EvaluationPoint(steps, 0.5, 0.9)],
        Warnings = [],
        Speed = new SpeedReport(1, 1, 1),
        Versions = new VersionReport("1", "2", "3", "4"),
        Attribution = new AttributionReport(0, "", []),
    };

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
