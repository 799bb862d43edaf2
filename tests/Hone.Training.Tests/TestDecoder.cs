using Hone.Training.Devices;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests;

/// <summary>A tiny model's own decoder, or its form for devices, as a test takes either.</summary>
/// <param name="Training">The decoder that trains.</param>
/// <param name="Logits">Of every token of a batch [N, V].</param>
internal sealed record TestDecoder(TrainingDecoder Training, Func<PackedBatch, LoraAdapter?, Tensor> Logits, bool IsOwned) : IDisposable
{
    public static TestDecoder Of(TinyModel model, bool onDevice)
    {
        if (!onDevice)
            return new TestDecoder(model.Decoder, (batch, adapter) => model.Decoder.Logits(model.Decoder.Forward(batch, adapter), Rows(batch, adapter)), false);
        var decoder = new DeviceDecoder(model.Decoder, TestDevice.Device);
        return new TestDecoder(decoder, decoder.Logits, true);
    }

    private static AdapterRows[] Rows(PackedBatch batch, LoraAdapter? adapter) => adapter is null ? [] : [new AdapterRows(adapter, 0, batch.Tokens.Length)];

    public void Dispose()
    {
        if (IsOwned)
            Training.Dispose();
    }
}
