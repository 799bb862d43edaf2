using System.Globalization;
using System.Runtime.CompilerServices;
using ScottPlot;

namespace Hone.Training.Reports;

/// <summary>
/// <c>curves.svg</c> and <c>curves.png</c>: loss and learning rate over the steps. Drawing needs a native library, so it happens only in the process that completes
/// the report, and what goes wrong there costs the curves and nothing else.
/// </summary>
internal static class Curves
{
    public const string SvgName = "curves.svg", PngName = "curves.png";
    private const int Width = 900, Height = 480;

    /// <summary>Points of a line; more are drawn as the means of neighbours.</summary>
    private const int MaxPoints = 1500;

    public static CurvesReport Write(string folder, RunReport report) => Write(folder, report, Draw);

    /// <param name="draw">Replaced in tests.</param>
    internal static CurvesReport Write(string folder, RunReport report, Action<string, RunReport> draw)
    {
        try
        {
            draw(folder, report);
            return new CurvesReport([SvgName, PngName], null);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // An adapter that is proven is not lost over a picture.
            foreach (string name in new[] { SvgName, PngName })
                File.Delete(Path.Combine(folder, name));
            Exception cause = e is TypeInitializationException { InnerException: { } inner } ? inner : e;
            return new CurvesReport([], $"{cause.GetType().Name}: {cause.Message.Split('\n')[0].Trim()}");
        }
    }

    /// <summary>What is drawn where; it stands below the picture, because a machine without fonts draws no text.</summary>
    public static string Caption(RunReport report)
    {
        CultureInfo c = CultureInfo.InvariantCulture;
        string validation = report.Evaluations.Count == 0 ? "" : string.Create(c, $", red: validation loss, {report.Evaluations.Min(e => e.Loss):g3} to {report.Evaluations.Max(e => e.Loss):g3}");
        return string.Create(c, $"Steps 1 to {report.Losses.Count} from left to right. Blue: training loss, {report.Losses.Min():g3} to {report.Losses.Max():g3}{validation}, on the left axis from 0. Grey: learning rate, up to {report.LearningRates.Max():g3}, on the right axis from 0.");
    }

    // Not inlined: the drawing library is loaded when this method is compiled, which must happen inside the try.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Draw(string folder, RunReport report)
    {
        using var plot = new Plot();
        plot.Font.Set(Fonts.Sans);
        plot.XLabel("step");
        plot.YLabel("loss");
        plot.Axes.Right.Label.Text = "learning rate";
        Add(report.LearningRates, "learning rate", Color.FromHex("#B0B0B0")).Axes.YAxis = plot.Axes.Right;
        Add(report.Losses, "training loss", Color.FromHex("#4682B4"));
        if (report.Evaluations.Count > 0)
        {
            var validation = plot.Add.Scatter(report.Evaluations.Select(e => (double)e.Step).ToArray(), report.Evaluations.Select(e => e.Loss).ToArray(), Color.FromHex("#B22222"));
            (validation.LegendText, validation.LineWidth) = ("validation loss", 2);
        }
        double last = Math.Max(2, report.Losses.Count);
        plot.Axes.SetLimits(1, last, 0, Above(report.Losses.Concat(report.Evaluations.Select(e => e.Loss))));
        plot.Axes.SetLimits(1, last, 0, Above(report.LearningRates), plot.Axes.Bottom, plot.Axes.Right);
        plot.ShowLegend(Alignment.UpperRight);
        plot.SaveSvg(Path.Combine(folder, SvgName), Width, Height);
        plot.SavePng(Path.Combine(folder, PngName), Width, Height);

        ScottPlot.Plottables.Scatter Add(IReadOnlyList<double> values, string name, Color color)
        {
            (double[] steps, double[] means) = Thin(values);
            var line = plot.Add.ScatterLine(steps, means, color);
            (line.LegendText, line.LineWidth) = (name, 1.5f);
            if (steps.Length == 1)
                line.MarkerSize = 6;
            return line;
        }
    }

    private static double Above(IEnumerable<double> values) => values.Max() is > 0 and var highest ? highest * 1.05 : 1;

    internal static (double[] Steps, double[] Means) Thin(IReadOnlyList<double> values)
    {
        int stride = (values.Count + MaxPoints - 1) / MaxPoints;
        double[][] groups = [.. values.Chunk(Math.Max(1, stride))];
        return ([.. groups.Select((g, i) => i * stride + (g.Length + 1) / 2.0)], [.. groups.Select(g => g.Average())]);
    }
}
