using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Benchmarks;
using Hone.Quickstart;
using Hone.Terminals;

namespace Hone.Commands.Bench;

internal sealed class BenchApiCommand : CliCommand
{
    private readonly Option<double> _seconds = new("--seconds") { Description = "How long each part is measured.", HelpName = "N", DefaultValueFactory = _ => 5 };
    private readonly Option<int> _megabytes = new("--megabytes") { Description = "Size of the file that is uploaded.", HelpName = "N", DefaultValueFactory = _ => 300 };
    private readonly Option<DirectoryInfo?> _folder = new("--folder") { Description = "Where the server's data lies meanwhile: the disk that is measured. Default: the temporary folder.", HelpName = "DIR" };
    private readonly Option<bool> _json = new("--json") { Description = "Print the figures as one line of JSON." };

    public BenchApiCommand() : base("api", "The API of a real server on this machine: durable creations, lists, an upload, and answers while a job trains.", "hone bench api", "hone bench api --seconds 2 --megabytes 50 --json")
    {
        foreach (Option option in new Option[] { _seconds, _megabytes, _folder, _json })
            Options.Add(option);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_seconds) is not (>= 0.5 and <= 60))
            yield return "--seconds is a number from 0.5 to 60.";
        if (parse.GetValue(_megabytes) is < 1 or > 300)
            yield return "--megabytes is a number from 1 to 300.";
        if (parse.GetValue(_folder) is { Exists: false } missing)
            yield return $"--folder: {missing} does not exist.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string folder = parse.GetValue(_folder) is { } given ? Path.Combine(given.FullName, $"hone-bench-{Environment.ProcessId}") : Directory.CreateTempSubdirectory("hone-bench-").FullName;
        Directory.CreateDirectory(folder);
        try
        {
            ApiFigures figures;
            await using (ServerChild server = await ServerChild.StartAsync(Path.Combine(folder, "data"), ["--rate-limit", "off", "--finetunes-per-account", "1000000", "--quiet"], cancellationToken))
            {
                var benchmark = new ApiBenchmark(server, folder, TimeSpan.FromSeconds(parse.GetValue(_seconds)), parse.GetValue(_megabytes), terminal.Note);
                figures = await benchmark.RunAsync(cancellationToken);
            }
            string json = JsonSerializer.Serialize(figures, ApiFiguresJson.Default.ApiFigures);
            if (parse.GetValue(_json))
            {
                terminal.Line(json);
                return 0;
            }
            using JsonDocument document = JsonDocument.Parse(json);
            terminal.Facts([.. document.RootElement.EnumerateObject().Select(figure => new[] { figure.Name, figure.Value.GetDouble().ToString("#,0.##", CultureInfo.InvariantCulture) })]);
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
