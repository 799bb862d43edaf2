using System.Diagnostics;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Devices;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Benchmarks;

/// <summary>A model, rows and a trainer to measure, its first step done.</summary>
internal sealed class TrainBench : IDisposable
{
    private const int RowsPerStep = 4;

    private readonly Decoder _decoder;
    private readonly AdamW _optimizer;
    private readonly Trainer _trainer;
    private int _step = 1;

    public TrainBench(string modelPath, string rowsPath, int? threads, string precision, int rank = 8)
    {
        Libtorch.Load();
        Cores.BeginLoading();
        Model = BaseModel.Open(modelPath);
        RowEncoder encoder = RowEncoder.For(Model, new TrainingConfig());
        Rows = [.. RowReader.Read(rowsPath).SelectMany(r => encoder.Encode(r).Rows)];
        Cores.Use(threads ?? Environment.ProcessorCount);
        Precision = PrecisionOf(Model, precision);
        _decoder = DecoderLoader.Load(Model.Weights, Precision);
        Settings = TrainSettings.Resolve(
            new TrainingConfig { Rank = rank, Alpha = 2 * rank, BatchSize = RowsPerStep, LearningRate = 1e-4, Seed = 1 }, Model.Config, "bench", Rows.Length, Rows.Sum(r => (long)r.TrainedTokens), false);
        Adapter = PeftAdapter.Create(Settings, Model, _decoder);
        Adapter.Initialize(1);
        _optimizer = new AdamW(Adapter.Parameters.numel(), Settings.WeightDecay);
        _trainer = new Trainer(_decoder, Adapter, _optimizer, Settings, Rows, []);
        _trainer.Step(1, _trainer.RowsOf(1));
        FirstStepSeconds = (TimeProvider.System.GetUtcNow().UtcDateTime - Process.GetCurrentProcess().StartTime.ToUniversalTime()).TotalSeconds;
    }

    /// <param name="name">Of a precision, or <c>auto</c>: how a training has float32's numbers.</param>
    public static BasePrecision PrecisionOf(BaseModel model, string name) =>
        name == "auto" ? new PrecisionChoice(BasePrecision.Float32, "").OrAsStored(model, usesDora: false).Precision : BasePrecision.Of(name);

    public BasePrecision Precision { get; }

    public BaseModel Model { get; }

    public EncodedRow[] Rows { get; }

    public TrainSettings Settings { get; }

    public LoraAdapter Adapter { get; }

    public double FirstStepSeconds { get; }

    /// <returns>Tokens computed.</returns>
    public int Step(int step, IReadOnlyList<EncodedRow> batch) => _trainer.Step(++_step, batch).Tokens;

    public void Dispose()
    {
        _optimizer.Dispose();
        Adapter.Dispose();
        _decoder.Dispose();
        Model.Dispose();
    }
}

/// <summary>Steps over rows in their order, and what they took.</summary>
internal sealed class Timed(IReadOnlyList<EncodedRow> rows, int rowsPerStep)
{
    private double _seconds;
    private long _tokens, _rows;
    private int _steps;

    public double TokensPerS => _tokens / _seconds;

    public double RowsPerS => _rows / _seconds;

    /// <summary>Null: nothing was measured.</summary>
    public Timed? Measured => _rows == 0 ? null : this;

    /// <param name="step">From the step's number and rows to the tokens computed.</param>
    /// <param name="counts">False: to warm up.</param>
    public void Run(Func<int, IReadOnlyList<EncodedRow>, int> step, int steps, bool counts = true)
    {
        for (int i = 0; i < steps; i++)
        {
            EncodedRow[] batch = [.. Enumerable.Range(_steps * rowsPerStep, rowsPerStep).Select(row => rows[row % rows.Count])];
            long began = Stopwatch.GetTimestamp();
            int tokens = step(++_steps, batch);
            if (!counts)
                continue;
            _seconds += Stopwatch.GetElapsedTime(began).TotalSeconds;
            _tokens += tokens;
            _rows += batch.Length;
        }
    }
}
