using System.CommandLine;
using System.Text.Json;
using Hone.Commands.Models;
using Hone.Formats.Models;
using Hone.Terminals;

namespace Hone.Commands.Bench;

/// <summary>A measurement. It runs in a child with the environment that trainers and engines get: what is measured is what they do.</summary>
internal abstract class BenchCommand : CliCommand
{
    private readonly Option<string> _model = LocalModel.Option();
    private readonly Option<int?> _threads = MeasuringChild.Threads();
    private readonly Option<string>? _precision;
    private readonly Option<bool> _json = new("--json") { Description = "Print the figures as one line of JSON." };
    private readonly Option<bool> _here = new("--in-this-process") { Description = "Measure here and print JSON.", Hidden = true };

    /// <summary>Of a training; auto is how it has float32's numbers.</summary>
    protected static string[] OfTrainings { get; } = ["auto", .. BasePrecision.Names];

    /// <param name="precisions">How the base may lie in memory, first what the command that is measured uses by itself; null where the model does not run, and threads play no part.</param>
    protected BenchCommand(string name, string description, string[]? precisions, params string[] examples) : base(name, description, examples)
    {
        if (precisions is not null)
        {
            _precision = new("--precision") { Description = $"How the base lies in memory: {string.Join(", ", precisions)}.", HelpName = "HOW", DefaultValueFactory = _ => precisions[0] };
            _precision.AcceptOnlyFromAmong(precisions);
        }
        foreach (Option option in (Option[])[_model, .. _precision is not null ? [_threads, _precision] : Array.Empty<Option>(), _json, _here])
            Options.Add(option);
    }

    protected string Precision(ParseResult parse) => parse.GetValue(_precision!)!;

    /// <summary>The command's own options again, for the child.</summary>
    protected abstract IEnumerable<string> Own(ParseResult parse);

    /// <returns>The figures as JSON.</returns>
    protected abstract string Measure(string modelPath, int? threads, ParseResult parse);

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string model = await LocalModel.PathOfAsync(parse.GetRequiredValue(_model), null, cancellationToken);
        int? threads = _precision is not null ? parse.GetValue(_threads) : null;
        if (parse.GetValue(_here))
        {
            MeasuringChild.EndWithParent();
            terminal.Line(await Task.Run(() => Measure(model, threads, parse), cancellationToken));
            return 0;
        }
        List<string> arguments = ["bench", Name, "--model", model, "--in-this-process", .. _precision is not null ? ["--precision", Precision(parse)] : Array.Empty<string>(), .. Own(parse)];
        string last = await MeasuringChild.RunAsync(arguments, threads, cancellationToken);
        if (parse.GetValue(_json))
        {
            terminal.Line(last);
            return 0;
        }
        using JsonDocument figures = JsonDocument.Parse(last);
        if (figures.RootElement.EnumerateObject().FirstOrDefault().Value is { ValueKind: JsonValueKind.Array } each)
        {
            terminal.Table([.. each[0].EnumerateObject().Select(figure => figure.Name)], [.. each.EnumerateArray().Select(row => row.EnumerateObject().Select(figure => Text(figure.Value)).ToArray())]);
            return 0;
        }
        terminal.Facts([.. figures.RootElement.EnumerateObject().Select(figure => new[]
        {
            figure.Name, Text(figure.Value),
        })]);
        return 0;
    }

    private static string Text(JsonElement figure) => figure.ValueKind switch
    {
        JsonValueKind.Null => "–",
        JsonValueKind.String => figure.GetString()!,
        _ => figure.GetDouble().ToString("#,0.##", System.Globalization.CultureInfo.InvariantCulture),
    };
}
