using System.Text.Json.Serialization;

namespace Hone.Training.Benchmarks;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(TrainFigures))]
[JsonSerializable(typeof(ServeFigures))]
[JsonSerializable(typeof(LintFigures))]
[JsonSerializable(typeof(RowsFigures))]
[JsonSerializable(typeof(ProfileFigures))]
[JsonSerializable(typeof(ScaleFigures))]
[JsonSerializable(typeof(GrammarFigures))]
public sealed partial class FiguresJson : JsonSerializerContext;
