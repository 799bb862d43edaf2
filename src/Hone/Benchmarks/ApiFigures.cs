using System.Text.Json.Serialization;

namespace Hone.Benchmarks;

/// <param name="FsyncPerS">Of the disk under the data folder: 4 KiB appended and synced, one after the other.</param>
/// <param name="Create1OfFsync">Durable creations over one connection beside the disk's own rate.</param>
/// <param name="ListPerS">Of 100 finetunes, nothing changing meanwhile.</param>
/// <param name="ListReadPerS">The same, read from the database each time.</param>
/// <param name="CopyAndSumS"><c>cp</c> and <c>sha256sum</c> of the uploaded file.</param>
/// <param name="UploadOfCopyAndSum">Their time beside the upload's: 1 is as fast.</param>
/// <param name="UploadPeakMb">Most memory of the server during the upload, since it is up.</param>
/// <param name="LaterUploadPeakMb">The same after the creations.</param>
/// <param name="BusyPerS">Requests a second while a job trains and an answer streams, as they were sent.</param>
/// <param name="BusyStreamTokensPerS">Of the answers that streamed meanwhile.</param>
internal sealed record ApiFigures(
    double FsyncPerS, double FsyncP99Ms,
    double Create1PerS, double Create1P50Ms, double Create1P99Ms, double Create1OfFsync,
    double Create32PerS, double Create32P50Ms, double Create32P99Ms,
    double ListPerS, double ListP50Ms, double ListP99Ms, double ListReadPerS,
    double UploadS, double CopyAndSumS, double UploadOfCopyAndSum, double UploadPeakMb, double LaterUploadOfCopyAndSum, double LaterUploadPeakMb,
    double BusyPerS, double BusyP50Ms, double BusyP99Ms, double BusyMaxMs, double BusySteps, double BusyStreamTokensPerS,
    double ServerPeakMb);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ApiFigures))]
internal sealed partial class ApiFiguresJson : JsonSerializerContext;
