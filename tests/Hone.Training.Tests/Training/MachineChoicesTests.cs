using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Devices;
using Hone.Training.Kernels;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

public sealed class MachineChoicesTests : IDisposable
{
    private static readonly bool s_wide = System.Runtime.Intrinsics.X86.Avx512F.IsSupported;

    private readonly string _folder = Directory.CreateTempSubdirectory("hone-choices-").FullName;
    private readonly BaseModel _model = BaseModel.Open(Reference.EmbeddedBase);

    [Theory]
    [InlineData(256, 4, 4, false)]
    [InlineData(8192, 1, 6, true)]
    [InlineData(8192, 1, 16, false)]
    [InlineData(512, 16, 2.5, true)]
    public void Recompute_Auto_FollowsTheMemoryThatIsFree(int tokens, int batch, double gigabytes, bool expected)
    {
        using EncodedRowFile rows = Rows(batch, tokens);
        RecomputeChoice choice = Recompute(new TrainingConfig { BatchSize = batch, Rank = 8 }, rows, (long)(gigabytes * 1e9));
        Assert.Equal(expected, choice.Recompute);
        Assert.Contains("are free", choice.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Recompute_MemoryThatDoesNotDoEither_SaysWhatWould()
    {
        using EncodedRowFile rows = Rows(1, 8192);
        Assert.Contains("as_stored", Recompute(new TrainingConfig(), rows, 1_000_000_000).Why, StringComparison.Ordinal);
    }

    /// <summary>Float32's numbers without a probe: from the stored blocks where that is as fast, which it is not with DoRA.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Complete_FewTokens_AreNotProbed(bool dora)
    {
        using EncodedRowFile rows = Rows(8, 50);
        TrainSettings settings = Complete(new TrainingConfig { NEpochs = 3, UseDora = dora }, rows);
        bool stored = s_wide && !dora;
        Assert.Equal(stored ? BasePrecision.AsStored : BasePrecision.Float32, settings.Precision);
        Assert.Matches($"^auto: the reference; 1,200 tokens are too few.* to pay{(stored ? "; the same numbers in less memory" : "")}$", settings.Origins.Single(s => s.Key == "precision").Origin);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    /// <summary>Float32's copy of the weights has no room; the file's own blocks have.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Complete_NoRoomForFloat32_TakesTheStoredWeights(bool dora)
    {
        using EncodedRowFile rows = Rows(8, 50);
        var config = new TrainingConfig { NEpochs = 3, UseDora = dora };
        TrainSettings settings = MachineChoices.Complete(Settings(config, rows), Job(config) with { MemoryLimitMb = 700 }, _model, rows, null, null, checksLosses: true, TestContext.Current.CancellationToken);
        Assert.Equal(BasePrecision.AsStored, settings.Precision);
        Assert.Matches("^auto: float32 takes about 0.[89] GB, and 0.7 GB are free; the same numbers in about 0.[1-5] GB$", settings.Origins.Single(s => s.Key == "precision").Origin);
    }

    [Fact]
    public void Complete_Given_IsLeftAlone()
    {
        using EncodedRowFile rows = Rows(2000, 50);
        TrainSettings settings = Complete(new TrainingConfig { Precision = "bfloat16", Recompute = true }, rows);
        Assert.Equal((WeightForm.BFloat16, true), (settings.Precision.Form, settings.Recompute));
        Assert.All(settings.Origins.Where(s => s.Key is "precision" or "recompute"), s => Assert.Equal("given", s.Origin));
    }

    /// <summary>What an earlier job found is taken; a damaged result is not.</summary>
    [Fact]
    public void Complete_ProbedBefore_TakesTheResult()
    {
        using EncodedRowFile rows = Rows(2000, 50);
        ProbeCache.Of(_folder, "model")!.Keep(new PrecisionChoice(BasePrecision.Of("bfloat16"), "figures"));
        Setting found = Complete(new TrainingConfig(), rows).Origins.Single(s => s.Key == "precision");
        Assert.Equal(("bfloat16", "auto: figures, as an earlier job found"), (found.Value, found.Origin));
        Assert.Null(ProbeCache.Of(_folder, "another")!.Find());
        File.WriteAllText(Assert.Single(Directory.GetFiles(_folder)), "{");
        Assert.Null(ProbeCache.Of(_folder, "model")!.Find());
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("as_stored")]
    [InlineData("bfloat16")]
    public void Complete_RunWithACheckpoint_GoesOnAsItBegan(string precision)
    {
        using EncodedRowFile rows = Rows(8, 50);
        TrainSettings settings = Settings(new TrainingConfig(), rows);
        Assert.Equal(precision, MachineChoices.Complete(settings, Job(new TrainingConfig()), _model, rows, null, s => s.Precision.Name == precision, true, TestContext.Current.CancellationToken).Precision.Name);
    }

    /// <summary>A device with room has the run, in its own precision and with its own memory; one without leaves it to the CPU, and each says why.</summary>
    [Theory]
    [InlineData(80, "gpu", "bfloat16", "false")]
    [InlineData(2.5, "gpu", "bfloat16", "true")]
    [InlineData(1, "cpu", "", "false")]
    public void Complete_WithADevice_TakesItWhereThereIsRoom(double gigabytes, string device, string precision, string recompute)
    {
        using EncodedRowFile rows = Rows(8, 2000);
        TrainSettings settings = Settings(new TrainingConfig { NEpochs = 1, BatchSize = 1 }, rows);
        var found = new TrainingDevice(TorchSharp.torch.CPU, "gpu", "it computes right")
        {
            FreeBytes = (long)(gigabytes * 1e9),
            Precision = new PrecisionChoice(BasePrecision.Of("bfloat16"), "it has them"),
        };
        settings = MachineChoices.Complete(settings, Job(new TrainingConfig()), _model, rows, found, null, checksLosses: true, TestContext.Current.CancellationToken);
        precision = precision.Length > 0 ? precision : s_wide ? "as_stored" : "float32";
        Assert.Equal([device, precision, recompute], new[] { "device", "precision", "recompute" }.Select(key => Assert.Single(settings.Origins, s => s.Key == key).Value));
        Assert.Equal(device == "gpu", settings.Device!.Device is not null);
        Assert.Matches(device == "gpu" ? "^auto: it computes right$" : "^auto: gpu: a pass of up to 2,000 tokens takes about .* and 1.0 GB are free", settings.Origins.Single(s => s.Key == "device").Origin);
    }

    /// <summary>The probe itself: bfloat16 where both figures speak for it, and only there.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void Choose_OnThisMachine_SaysBothFiguresAndFollowsThem()
    {
        Cores.Use(Environment.ProcessorCount);
        using EncodedRowFile rows = Rows(2000, 50);
        TrainSettings settings = Settings(new TrainingConfig { Rank = 8, LearningRate = 1e-3 }, rows);
        PrecisionChoice choice = PrecisionProbe.Choose(_model, settings, rows, null, checksLosses: true, TestContext.Current.CancellationToken);
        var figures = System.Text.RegularExpressions.Regex.Match(choice.Why, @"run at (\d+) GFLOP/s in float32 and (\d+) in bfloat16(?:, a short step takes (\d+) and (\d+) ms, and of 20 losses the farthest lies ([\d.]+) % off)?$");
        Assert.True(figures.Success, choice.Why);
        bool steps = figures.Groups[3].Success && Number(4) <= Number(3) && Number(5) <= 100 * PrecisionProbe.LossTolerance;
        Assert.Equal(steps ? WeightForm.BFloat16 : WeightForm.Float32, choice.Precision.Form);
        TestContext.Current.SendDiagnosticMessage(choice.Why);

        double Number(int group) => double.Parse(figures.Groups[group].Value, System.Globalization.CultureInfo.InvariantCulture);
    }

    private TrainSettings Complete(TrainingConfig config, EncodedRowFile rows) =>
        MachineChoices.Complete(Settings(config, rows), Job(config), _model, rows, null, null, checksLosses: true, TestContext.Current.CancellationToken);

    private RecomputeChoice Recompute(TrainingConfig config, EncodedRowFile rows, long available)
    {
        TrainSettings settings = Settings(config, rows);
        return RecomputeChoice.Of(new RunMemory(_model, settings, rows), settings.Precision, available);
    }

    private TrainSettings Settings(TrainingConfig config, EncodedRowFile rows) => TrainSettings.Resolve(config, _model.Config, "job", rows.Count, rows.TrainedTokens, false);

    private JobSpec Job(TrainingConfig config) => new()
    {
        JobId = "job",
        Fence = 1,
        Name = "name",
        ModelId = "model",
        ModelPath = _model.Path,
        ModelSha256 = "model",
        TrainingData = "rows.jsonl",
        Config = config,
        CacheFolder = _folder,
    };

    private static EncodedRowFile Rows(int count, int tokens)
    {
        string path = Path.Combine(Path.GetTempPath(), $"hone-{Guid.NewGuid():n}.rows");
        EncodedRowFile.Write(path, Enumerable.Range(0, count).Select(i => Row(i, tokens)), () => (false, []));
        EncodedRowFile rows = EncodedRowFile.Open(path);
        File.Delete(path);
        return rows;
    }

    private static EncodedRow Row(int index, int tokens)
    {
        var random = new SplitMix64(index % 30, "row");
        int[] ids = [.. Enumerable.Range(0, tokens).Select(_ => 20 + random.NextInt(4000))];
        return new EncodedRow(index + 1, ids, [.. ids.Select((_, t) => t > tokens / 2)]);
    }

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
