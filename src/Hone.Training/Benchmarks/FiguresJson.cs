using System.Text.Json.Serialization;

namespace Hone.Training.Benchmarks;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(TrainFigures))]
[JsonSerializable(typeof(ServeFigures))]
[JsonSerializable(typeof(LintFigures))]
[JsonSerializable(typeof(RowsFigures))]
public sealed partial class FiguresJson : JsonSerializerContext;
