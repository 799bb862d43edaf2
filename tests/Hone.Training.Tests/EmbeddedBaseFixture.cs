using Hone.Formats.Models;
using Hone.Training.Model;

namespace Hone.Training.Tests;

public sealed class EmbeddedBaseFixture : IDisposable
{
    public EmbeddedBaseFixture()
    {
        Model = BaseModel.Open(Reference.EmbeddedBase);
        Decoder = DecoderLoader.Load(Model);
    }

    public BaseModel Model { get; }

    internal Decoder Decoder { get; }

    public void Dispose()
    {
        Decoder.Dispose();
        Model.Dispose();
    }
}
