using System.Runtime.InteropServices;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

/// <summary>Nothing beside it: what other tests allocate would be counted too.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CountedAlone
{
    public const string Name = "counted alone";
}

/// <summary>What a step of the embedded base does, counted rather than timed.</summary>
[Collection(CountedAlone.Name)]
public sealed partial class StepCountTests(EmbeddedBaseFixture fixture) : IClassFixture<EmbeddedBaseFixture>
{
    private const int Steps = 5;
    private const int Megabyte = 1 << 20;

    /// <summary>Each distinct prefix goes through every layer once, each label through the head once, and behind the last layer's attention only tokens with a label go on.</summary>
    [Fact]
    public void Step_RowsOfTheExample_ComputesDistinctPrefixesAndLabelsAlone()
    {
        (Trainer trainer, LoraAdapter adapter, AdamW optimizer) = Start();
        using (adapter)
        using (optimizer)
        {
            IReadOnlyList<EncodedRow> rows = trainer.RowsOf(1);
            string[] prefixes = [.. rows.SelectMany(r => Enumerable.Range(1, r.Tokens.Length).Select(t => string.Join(' ', r.Tokens[..t]))).Distinct()];
            string[] labels = [.. rows.SelectMany(r => Enumerable.Range(1, r.Tokens.Length - 1).Where(t => r.Trained[t]).Select(t => string.Join(' ', r.Tokens[..(t + 1)]))).Distinct()];
            int labelled = labels.Select(l => l[..l.LastIndexOf(' ')]).Distinct().Count(), layers = fixture.Model.Config.Layers;
            Profile.Start();
            StepResult result = trainer.Step(1, rows);
            Profile.Stop();
            Assert.Equal(prefixes.Length, result.Tokens);
            Assert.True(result.Tokens < rows.Sum(r => r.Tokens.Length), "the rows share nothing: the test shows nothing");
            // Four products a layer: queries, keys and values; output; gate and up; down.
            Assert.Equal(4L * layers * prefixes.Length - 3L * (prefixes.Length - labelled), Profile.Rows(Operation.Products));
            Assert.Equal(labels.Length, Profile.Rows(Operation.Head));
        }
    }

    /// <summary>Once warm, a step makes less than 1 MB of managed objects, and takes no more from the system, though each step has rows of other lengths.</summary>
    [Fact]
    public void Step_Warm_AllocatesLessThanAMegabyte()
    {
        (Trainer trainer, LoraAdapter adapter, AdamW optimizer) = Start();
        using (adapter)
        using (optimizer)
        {
            for (int step = 1; step <= Steps; step++)
                trainer.Step(step, trainer.RowsOf(step));
            long native = NativeBytes(), pool = TensorPool.Reserved, managed = GC.GetTotalAllocatedBytes(precise: true);
            for (int step = 1; step <= Steps; step++)
                trainer.Step(Steps + step, trainer.RowsOf(step));
            managed = GC.GetTotalAllocatedBytes(precise: true) - managed;
            native = NativeBytes() - native;
            Assert.True(managed < Steps * (long)Megabyte, $"{managed / Steps:n0} managed bytes a step");
            Assert.True(native < Megabyte, $"the native heap has grown by {native:n0} bytes in {Steps} steps");
            Assert.Equal(pool, TensorPool.Reserved);
        }
    }

    private (Trainer, LoraAdapter, AdamW) Start()
    {
        Cores.Use(2);
        RowEncoder encoder = RowEncoder.For(fixture.Model, new TrainingConfig());
        EncodedRow[] rows = [.. RowReader.Read(Path.Combine(Reference.Repository, "examples", "support-triage", "train.jsonl")).Take(40).SelectMany(r => encoder.Encode(r).Rows)];
        TrainSettings settings = TrainSettings.Resolve(
            new TrainingConfig { Rank = 8, BatchSize = 4, LearningRate = 1e-4, Seed = 1 }, fixture.Model.Config, "count", rows.Length, rows.Sum(r => (long)r.TrainedTokens), false);
        LoraAdapter adapter = PeftAdapter.Create(settings, fixture.Model, fixture.Decoder);
        adapter.Initialize(1);
        var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        return (new Trainer(fixture.Decoder, adapter, optimizer, settings, rows, []), adapter, optimizer);
    }

    /// <summary>In use, of the C library's heap and of what it maps.</summary>
    private static long NativeBytes()
    {
        HeapInfo info = GetHeapInfo();
        return (long)(info.MappedBytes + info.UsedBytes);
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial HeapInfo GetHeapInfo();

    [StructLayout(LayoutKind.Sequential)]
    private struct HeapInfo
    {
        public nuint Arena, FreeChunks, FastChunks, MappedRegions, MappedBytes, MostBytes, FastBytes, UsedBytes, FreeBytes, TrimmableBytes;
    }
}
