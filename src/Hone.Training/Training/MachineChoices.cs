using System.Globalization;
using System.Runtime.Intrinsics.X86;
using Hone.Formats.Gguf;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Devices;
using Hone.Training.Lora;
using Hone.Training.Processes;

namespace Hone.Training.Training;

/// <summary>What <c>precision: auto</c> comes to on this machine.</summary>
/// <param name="Why">For the setting's origin.</param>
internal sealed record PrecisionChoice(BasePrecision Precision, string Why)
{
    /// <summary>
    /// In place of float32 as_stored, which has its bits, where blocks are widened in registers as products pack them: as fast then (K-quants with few tokens a step a tenth
    /// slower), with less memory, and nothing is widened before the first step. DoRA's norms read the whole matrices each step.
    /// </summary>
    public PrecisionChoice OrAsStored(BaseModel model, bool usesDora) =>
        Precision.Form == WeightForm.Float32 && !usesDora && Avx512F.IsSupported
        && model.LinearModules.All(m => model.Stored(m.Name + ".weight") is { Block: > 1, HasParts: true } stored && StoredBlocks.Has(stored.Type))
            ? new PrecisionChoice(BasePrecision.AsStored, Why + "; the same numbers in less memory")
            : this;

    /// <summary>float32's numbers from what the file has, where a copy of them would have no room; null: it has.</summary>
    /// <param name="recompute">Whether the run may.</param>
    /// <param name="available">Bytes that the trainer may still take.</param>
    public static PrecisionChoice? WithoutRoom(RunMemory memory, bool recompute, long available)
    {
        long copied = memory.Needed(BasePrecision.Float32, recompute), stored = memory.Needed(BasePrecision.AsStored, recompute);
        return RunMemory.Fits(copied, available) || stored >= copied ? null
            : new PrecisionChoice(BasePrecision.AsStored, $"float32 takes about {RunMemory.Gb(copied)} GB, and {RunMemory.Gb(available)} GB are free; the same numbers in about {RunMemory.Gb(stored)} GB");
    }
}

/// <summary>What <c>recompute: auto</c> comes to with these rows on this machine.</summary>
/// <param name="Why">For the setting's origin.</param>
internal sealed record RecomputeChoice(bool Recompute, string Why)
{
    /// <summary>With it, at least, the largest pass has room.</summary>
    public bool Fits { get; private init; } = true;

    /// <param name="available">Bytes that the trainer may still take.</param>
    /// <param name="onDevice">They are a device's.</param>
    public static RecomputeChoice Of(RunMemory memory, BasePrecision precision, long available, bool onDevice = false)
    {
        long plain = memory.Needed(precision, recompute: false, onDevice), less = memory.Needed(precision, recompute: true, onDevice);
        string needs = string.Create(CultureInfo.InvariantCulture, $"a pass of up to {memory.LargestPass.Tokens:N0} tokens takes about {RunMemory.Gb(plain)} GB, and {RunMemory.Gb(available)} GB are free");
        if (RunMemory.Fits(plain, available))
            return new RecomputeChoice(false, needs);
        bool fits = RunMemory.Fits(less, available);
        string advice = precision == BasePrecision.AsStored ? "lower max_length" : "lower max_length, or set precision to nf4 or as_stored";
        return new RecomputeChoice(true, $"{needs}; about {RunMemory.Gb(less)} GB with it{(fits ? "" : ", which may be too much too: " + advice)}") { Fits = fits };
    }
}

/// <summary>What a run with these rows takes of the memory, whatever is left to choose.</summary>
internal sealed class RunMemory
{
    /// <summary>Of the memory that is free; the rest is for what no formula knows.</summary>
    private const double Share = 0.9;

    private readonly ModelConfig _model;
    private readonly AdapterSize _adapter;
    private readonly bool _hasParts;
    private readonly int _evaluated;

    public RunMemory(BaseModel model, TrainSettings settings, EncodedRowFile rows)
    {
        (_model, _adapter, _hasParts) = (model.Config, PeftAdapter.SizeOf(settings, model.Weights), model.HasParts);
        (LargestPass, _evaluated) = Largest(settings, rows);
    }

    /// <summary>Of a step: that these rows can make, as if they shared nothing.</summary>
    public PassSize LargestPass { get; }

    public static bool Fits(long needed, long available) => needed <= Share * available;

    /// <summary>Without the file's pages, which go when memory is short.</summary>
    public long Needed(BasePrecision precision, bool recompute, bool onDevice = false)
    {
        if (!onDevice)
            return ModelMemory.OfTraining(_model, 0, _adapter, LargestPass, _evaluated, precision, recompute, _hasParts).Total;
        // The library's tape keeps about twice what Hone's own backward pass does; AdamW's moments stay with the CPU.
        BasePrecision held = precision.Form == WeightForm.BFloat16 ? precision : BasePrecision.Float32;
        MemoryUse use = ModelMemory.OfTraining(_model, 0, _adapter, LargestPass, _evaluated, held, recompute, _hasParts);
        return use.Weights + use.Adapter / 2 + 2 * (use.Tokens + use.Work);
    }

    private static (PassSize Step, int Evaluated) Largest(TrainSettings settings, EncodedRowFile rows)
    {
        int longestItem = 0, longestRow = 0, trained = 0;
        for (int i = 0; i < rows.Count; i += settings.RowsAnItem)
        {
            int item = 0;
            for (int r = i; r < Math.Min(rows.Count, i + settings.RowsAnItem); r++)
            {
                EncodedRow row = rows[r];
                item += row.Tokens.Length;
                longestRow = Math.Max(longestRow, row.Tokens.Length);
                trained = Math.Max(trained, row.TrainedTokens);
            }
            longestItem = Math.Max(longestItem, item);
        }
        int tokens = (int)Math.Max(longestItem, Math.Min(ModelMemory.PassTokens, (long)longestItem * settings.BatchSize));
        int evaluated = (int)Math.Max(longestItem, Math.Min(ModelMemory.PassTokens, rows.Tokens));
        return (PassSize.Of(Math.Max(1, tokens / Math.Max(1, longestRow)), longestRow, Math.Max(1, trained)), evaluated);
    }

    public static string Gb(long bytes) => (bytes / 1e9).ToString("f1", CultureInfo.InvariantCulture);
}

/// <summary>The settings that are left to Hone and need the machine to be chosen.</summary>
internal static class MachineChoices
{
    /// <param name="device">Where the steps could run; null: nobody has asked for a device.</param>
    /// <param name="isOfCheckpoint">Whether a run with these settings left the checkpoint to go on from; null: there is none.</param>
    /// <param name="checksLosses">See <see cref="PrecisionProbe"/>.</param>
    public static TrainSettings Complete(
        TrainSettings settings, JobSpec job, BaseModel model, EncodedRowFile rows, TrainingDevice? device, Func<TrainSettings, bool>? isOfCheckpoint, bool checksLosses, CancellationToken cancellation)
    {
        TrainSettings given = settings;
        var memory = new Lazy<RunMemory>(() => new RunMemory(model, given, rows));
        if (device is { Device: not null })
        {
            (TrainSettings there, RecomputeChoice recompute) = OnDevice(settings, job, memory.Value, device, isOfCheckpoint);
            if (recompute.Fits)
                return there;
            device = TrainingDevice.OnCpu($"{device.Name}: {recompute.Why}");
        }
        if (device is not null)
            settings = settings.With(device);
        long available = MachineMemory.AvailableBytes(job.MemoryLimitMb);
        if (job.Config.Precision is null)
        {
            settings = OfCheckpoint(settings, isOfCheckpoint) ?? settings.With(PrecisionChoice.WithoutRoom(memory.Value, job.Config.Recompute ?? true, available)
                ?? PrecisionProbe.Choose(model, settings, rows, ProbeCache.Of(job.CacheFolder, job.ModelSha256), checksLosses, cancellation).OrAsStored(model, settings.UseDora));
        }
        if (job.Config.Recompute is null)
            settings = settings.With(RecomputeChoice.Of(memory.Value, settings.Precision, available));
        return settings;
    }

    private static (TrainSettings Settings, RecomputeChoice Recompute) OnDevice(
        TrainSettings settings, JobSpec job, RunMemory memory, TrainingDevice device, Func<TrainSettings, bool>? isOfCheckpoint)
    {
        settings = settings.With(device);
        if (job.Config.Precision is null)
            settings = OfCheckpoint(settings, isOfCheckpoint) ?? settings.With(device.Precision);
        RecomputeChoice recompute = RecomputeChoice.Of(memory, settings.Precision, device.FreeBytes, onDevice: true);
        return (job.Config.Recompute is null ? settings.With(recompute) : settings, recompute);
    }

    /// <summary>A run goes on as it began, whatever this machine would choose.</summary>
    private static TrainSettings? OfCheckpoint(TrainSettings settings, Func<TrainSettings, bool>? isOfCheckpoint) => isOfCheckpoint is null ? null :
        new[] { WeightForm.Float32, WeightForm.AsStored, WeightForm.BFloat16 }.Select(form => settings.With(new PrecisionChoice(new BasePrecision(form), "as the run began"))).FirstOrDefault(isOfCheckpoint);
}
