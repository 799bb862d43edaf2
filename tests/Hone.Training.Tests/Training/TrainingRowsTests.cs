using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

public sealed class TrainingRowsTests(EmbeddedBaseFixture embedded) : IClassFixture<EmbeddedBaseFixture>, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-rows-").FullName;
    private readonly List<string> _warnings = [];

    private string Cache => Path.Combine(_folder, "cache");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Read_Again_TakesTheKeptRowsWithTheirWarnings()
    {
        Write(20, spoilt: true);
        EncodedRow[] first = Read(Job()), encoded = [.. RowReader.Read(Data).SelectMany(r => RowEncoder.For(embedded.Model, Job().Config).Encode(r).Rows)];
        Assert.Equal(encoded.Select(r => string.Join(' ', r.Tokens.Zip(r.Trained))), first.Select(r => string.Join(' ', r.Tokens.Zip(r.Trained))));
        string kept = Assert.Single(Directory.GetFiles(Cache));
        string[] warned = [.. _warnings];
        Assert.Contains(warned, w => w.EndsWith("1 rows teach nothing and are left out.", StringComparison.Ordinal));

        // Other numbers in the kept file show that they are what is read.
        EncodedRowFile.Write(kept, [new EncodedRow(7, [1, 2], [false, true])], () => (false, ["kept"]));
        _warnings.Clear();
        Assert.Equal([1, 2], Assert.Single(Read(Job())).Tokens);
        Assert.Equal(["rows.jsonl: kept"], _warnings);
        Assert.Single(Directory.GetFiles(Cache));
    }

    [Fact]
    public void Read_OtherDataSettingsOrBase_EncodesAgain()
    {
        Write(5);
        Read(Job());
        Read(Job() with { Config = Job().Config with { MaxLength = 60 } });
        Read(Job() with { Config = Job().Config with { TrainOn = "everything" } });
        Read(Job() with { ModelSha256 = "other" });
        Write(6);
        Read(Job());
        Assert.Equal(5, Directory.GetFiles(Cache).Length);
        Read(Job() with { JobId = "another", Config = Job().Config with { LearningRate = 1 } });
        Assert.Equal(5, Directory.GetFiles(Cache).Length);
    }

    [Fact]
    public void Read_KeptRowsDamaged_AreMadeAgain()
    {
        Write(5);
        string[] lines = Lines(Read(Job()));
        string kept = Assert.Single(Directory.GetFiles(Cache));
        byte[] bytes = File.ReadAllBytes(kept);
        bytes[3] ^= 1;
        File.WriteAllBytes(kept, bytes);
        Assert.Equal(lines, Lines(Read(Job())));
        Assert.NotEqual(bytes, File.ReadAllBytes(kept));

        static string[] Lines(EncodedRow[] rows) => [.. rows.Select(r => string.Join(' ', r.Tokens))];
    }

    [Fact]
    public void Read_BadRow_LeavesNothingBehind()
    {
        File.WriteAllText(Data, "{\"messages\":[]\n");
        Assert.Equal("bad_data", Assert.Throws<JobFailedException>(() => Read(Job())).Code);
        Assert.Empty(Directory.GetFiles(Cache));
    }

    [Fact]
    public void Open_OverTheBound_DropsWhatWasUsedLongestAgo()
    {
        var clock = new SteppedClock();
        var cache = new RowCache(Cache, clock) { MaxBytes = 3_000 };
        foreach (string name in new[] { "a", "b", "a", "c" }) // each of about 1,200 bytes
            cache.Open(name, path => EncodedRowFile.Write(path, [new EncodedRow(1, new int[280], new bool[280])], () => (false, []))).Dispose();
        Assert.Equal(["a.rows", "c.rows"], Directory.GetFiles(Cache).Select(Path.GetFileName).Order());
    }

    private string Data => Path.Combine(_folder, "rows.jsonl");

    private JobSpec Job() => new()
    {
        JobId = "job",
        Fence = 1,
        Name = "rows",
        ModelId = "base",
        ModelPath = embedded.Model.Path,
        ModelSha256 = "base",
        TrainingData = "rows.jsonl",
        Config = new TrainingConfig { Strict = false },
        CacheFolder = Cache,
    };

    private void Write(int rows, bool spoilt = false) => File.WriteAllLines(Data, Enumerable.Range(0, rows).Select(
        i => $$"""{"messages":[{"role":"user","content":"question {{i}}"},{"role":"assistant","content":"answer {{i}}"{{(spoilt && i == 3 ? ",\"weight\":0" : "")}}}]}"""));

    private EncodedRow[] Read(JobSpec job)
    {
        using TrainingRows rows = TrainingRows.Read(_folder, job, embedded.Model, _warnings.Add);
        return [.. rows.Rows];
    }

    /// <summary>An hour from now on, and one more at each look.</summary>
    private sealed class SteppedClock : TimeProvider
    {
        private DateTimeOffset _now = System.GetUtcNow();

        public override DateTimeOffset GetUtcNow() => _now = _now.AddHours(1);
    }
}
