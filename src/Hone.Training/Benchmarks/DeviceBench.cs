using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Devices;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;

namespace Hone.Training.Benchmarks;

/// <summary>The steps of a <see cref="TrainBench"/> on a device, from the same start.</summary>
internal sealed class DeviceBench : IDisposable
{
    private readonly Decoder _loaded;
    private readonly DeviceDecoder _decoder;
    private readonly LoraAdapter _adapter;
    private readonly AdamW _optimizer;
    private readonly Trainer _trainer;
    private int _step;

    public DeviceBench(TrainBench bench, torch.Device device, BasePrecision precision)
    {
        _loaded = DecoderLoader.Load(bench.Model.Weights, precision);
        _decoder = new DeviceDecoder(_loaded, device);
        _adapter = PeftAdapter.Create(bench.Settings, bench.Model, _loaded);
        _adapter.Initialize(1);
        _optimizer = new AdamW(_adapter.Parameters.numel(), bench.Settings.WeightDecay);
        _trainer = new Trainer(_decoder, _adapter, _optimizer, bench.Settings, bench.Rows, []);
    }

    /// <returns>Tokens computed.</returns>
    public int Step(int step, IReadOnlyList<EncodedRow> batch) => _trainer.Step(++_step, batch).Tokens;

    public void Dispose()
    {
        _optimizer.Dispose();
        _adapter.Dispose();
        _decoder.Dispose();
        _loaded.Dispose();
    }
}
